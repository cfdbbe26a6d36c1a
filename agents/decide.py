"""The one path from closed bars to a wished exposure: backtest, live session and replay all take it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from agents.gate import Gate
from agents.observation import observation_hash, observe, observe_raw
from agents.policies.chance import uniform
from agents.policies.port import Opinion, Policy
from agents.spaces import BUY
from market.errors import BadInput


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """How opinions become wishes; part of a session's or a backtest's settings."""

    gate: Gate = field(default_factory=Gate)
    sample: bool = False  # draw the action by its probability instead of taking the most probable one
    seed: int = 0  # of the draws, and of policies that use chance

    def to_dict(self) -> dict[str, Any]:
        return {**self.gate.to_dict(), "sample": self.sample, "seed": self.seed}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DecisionSettings":
        """Read flat settings: confidence, min_move, move_bars, sample, seed; absent ones take their default.

        :raises BadInput: for an unknown key or a value that makes no sense
        """
        gate = Gate.from_dict({key: value for key, value in values.items() if key not in ("sample", "seed")})
        sample, seed = values.get("sample", False), values.get("seed", 0)
        if not isinstance(sample, bool):
            raise BadInput("sample must be true or false", "sample")
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            raise BadInput("seed must be a whole number from 0", "seed")
        return cls(gate, sample, seed)


DECISION_KEYS = tuple(DecisionSettings().to_dict())


class Answered(Protocol):
    """A policy that is a network: see `NetworkPolicy.opinion`."""

    def opinion(
        self, output: list[float], value: float, current_exposure: float, draw: float | None = None
    ) -> Opinion: ...


def require_draws(policy: Policy, settings: DecisionSettings) -> None:
    """:raises BadInput: for drawing the actions of a policy that has no chances to draw by"""
    if settings.sample and not policy.can_draw:
        raise BadInput(
            f"{policy.name} draws no action by its probability, so that sample would change nothing: leave "
            "sample out",
            "sample",
        )


class Decided(NamedTuple):
    """One decision with everything needed to store and to repeat it."""

    opinion: Opinion
    target: float | None  # exposure to trade towards after the gate; None keeps what is held
    gate_reason: str  # why the opinion was not followed; empty when it was
    portfolio: tuple[float, ...]  # the portfolio part of the observation, as given
    observation: np.ndarray  # float32 (dim,)

    @property
    def observation_hash(self) -> str:
        return observation_hash(self.observation)


def falls_due(every: int, open_ms: int, interval_ms: int) -> bool:
    """Say whether a policy that acts every `every` bars decides at the close of the bar begun at `open_ms`.

    It acts at closes that are multiples of so many bars since 1970, in a backtest as live, whenever either
    began.
    """
    return (open_ms // interval_ms + 1) % every == 0


class Decider:
    """A policy, its scaler and its gate. Holds no state between decisions: equal inputs, equal decision."""

    def __init__(self, policy: Policy, settings: DecisionSettings | None = None) -> None:
        self.policy = policy
        self.settings = settings or DecisionSettings()
        self.needs = policy.observation
        self.closes_needed = self.settings.gate.closes_needed
        self._gate, self._samples = self.settings.gate, self.settings.sample
        self._key = self.settings.seed.to_bytes(8, "little")
        policy.reset(self.settings.seed)

    def is_due(self, open_ms: int, interval_ms: int) -> bool:
        """Say whether the policy decides at the close of the bar that began at `open_ms`; see `falls_due`."""
        return falls_due(self.policy.decision_every, open_ms, interval_ms)

    def decide(
        self, window: np.ndarray, closes: np.ndarray, portfolio: Sequence[float], current_exposure: float
    ) -> Decided:
        """Decide at a bar's close.

        :param window: raw (unscaled) feature rows, float64 (W, F), oldest first, last the bar just closed
        :param closes: the last `closes_needed` closes or more, oldest first, the same bar last
        :param portfolio: the five floats of `market.kernel.portfolio.portfolio_row` at that close
        :param current_exposure: share of equity held in the asset, `portfolio.exposure_of` at that close
        :raises BadInput: when a feature is missing (NaN), which says that the warm-up is not over
        """
        observation, is_whole = observe_raw(window, portfolio, self.needs.scaler)
        if not is_whole:
            raise BadInput("too few candles for the warm-up: a feature has no value yet", "candles")
        return self._decided(observation, closes, portfolio, current_exposure)

    def decide_scaled(
        self, rows: np.ndarray, closes: np.ndarray, portfolio: Sequence[float], current_exposure: float
    ) -> Decided:
        """Decide on rows that the scaler has already seen, float32 (W, F); see `decide`."""
        return self._decided(observe(rows, portfolio), closes, portfolio, current_exposure)

    def _decided(
        self, observation: np.ndarray, closes: np.ndarray, portfolio: Sequence[float], current_exposure: float
    ) -> Decided:
        draw = self._draw(observation) if self._samples else None
        opinion = self.policy.opine(observation, current_exposure, draw)
        target, reason = self._gate.passed(opinion, closes, current_exposure)
        made = opinion, target, reason, tuple(portfolio), observation
        return tuple.__new__(Decided, made)  # `Decided(...)` costs a call of Python more

    def observed(self, window: np.ndarray, portfolio: Sequence[float]) -> np.ndarray:
        """Return the observation that `decide` asks the policy with; parameters as there."""
        return observe_raw(window, portfolio, self.needs.scaler)[0]

    def foretold(
        self,
        asked: np.ndarray,
        output: list[float],
        value: float,
        closes: np.ndarray,
        current_exposure: float,
    ) -> float | None:
        """Return the target that `decide` will name, from a network's answer to what it will be asked.

        :param asked: the observation, see `observed`; `output` and `value` are the network's answer to it
        """
        draw = self._draw(asked) if self._samples else None
        opinion = cast(Answered, self.policy).opinion(output, value, current_exposure, draw)
        return self._gate.passed(opinion, closes, current_exposure)[0]

    @property
    def band(self) -> float:
        """Return the change of exposure that the policy holds to be worth its costs."""
        return self.policy.action_spec.band

    def conviction(self, opinion: Opinion) -> float:
        """Return the probability, 0..1, that the policy gives to being long.

        Of levels it is the expected share of the highest one. A policy without probabilities is sure.
        """
        spec = self.policy.action_spec
        if not opinion.probabilities:
            return 1.0 if opinion.target is not None and opinion.target > 0 else 0.0
        if spec.kind == "hold_buy_sell":
            return opinion.probabilities[BUY]
        pairs = zip(opinion.probabilities, spec.levels, strict=True)
        top = spec.levels[-1]
        return sum(p * max(level, 0.0) / top for p, level in pairs) if top > 0 else 0.0

    def _draw(self, observation: np.ndarray) -> float:
        """Return a number in [0, 1) that depends on seed and observation only: a replay draws alike."""
        return uniform(self._key, observation)
