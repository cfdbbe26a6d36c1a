"""What every policy looks like from outside: needs, opinion, identity. Trading knows models only so."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from agents.spaces import ActionSpec
from market.features import FeatureSet

if TYPE_CHECKING:
    from agents.policies.council.votes import Tally


class Scaling(Protocol):
    """What a raw feature row goes through before a policy sees it: a `Scaler`, or several side by side."""

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 rows (n, C) of raw ones (n, F)."""


@dataclass(frozen=True, slots=True)
class ObservationNeeds:
    """What an observation is made of; `agents.observation.observe` puts it together."""

    feature_set: FeatureSet
    scaler: Scaling
    window: int  # feature rows, the newest is the bar just closed
    bars_scale: float  # see market.kernel.portfolio.portfolio_row
    pairs: int = 1  # whose features stand side by side in a row

    @property
    def columns(self) -> int:
        """Numbers that a feature row has once it is scaled: a forecast comes behind the features."""
        return self.pairs * len(self.feature_set) + getattr(self.scaler, "added", 0)

    @property
    def history_bars(self) -> int:
        """Bars after which a live observation no longer depends on when the feed began."""
        return self.feature_set.memory + self.window

    @property
    def first_row(self) -> int:
        """Index of the first bar of a series at whose close a decision is possible."""
        return self.feature_set.warmup + self.window - 1


class Opinion(NamedTuple):
    """What a policy thinks at one close."""

    action: int | float  # index of the discrete action, or the raw continuous one
    name: str  # HOLD, BUY, SELL, or the exposure level's name
    probabilities: tuple[float, ...]  # of the discrete actions; empty for continuous ones
    value: float | None  # the critic's estimate, in units of the training reward
    confidence: float | None  # probability of the chosen action; None when the policy has no such thing
    target: float | None  # exposure wanted, share of equity -1..1; None keeps what is held
    tally: "Tally | None" = None  # of a council: the votes behind it


class Policy(Protocol):
    """Opinions from observations. Equal observation, exposure and draw give an equal opinion, always."""

    name: str
    policy_hash: str  # SHA-256 (hex) of everything that shapes an opinion
    observation: ObservationNeeds
    action_spec: ActionSpec
    decision_every: int  # bars between two decisions
    can_draw: bool  # whether it has chances that a draw chooses by

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        """Return the opinion on one observation, float32 (dim,).

        :param current_exposure: share of equity held in the asset, -1..1
        :param draw: number in [0, 1) that samples the action; None takes the most probable one
        """

    def reset(self, seed: int) -> None:
        """Choose the stream of chance of a policy that has one; others ignore it."""
