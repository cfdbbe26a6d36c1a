"""What an agent may answer, and which exposure each answer asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from market.errors import BadInput
from market.kernel.basket import target_weights
from market.kernel.rebalance import is_kept

HOLD, BUY, SELL = 0, 1, 2
MOST_LEVERAGE = 125
WEIGHTS = "weights"
KINDS = ("hold_buy_sell", "levels", "continuous", WEIGHTS)
MOST_PAIRS = 30


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """Actions and the exposures (share of equity in the asset; -1..1, of futures more) they ask for.

    - `hold_buy_sell`: Discrete(3), 0 HOLD keeps, 1 BUY goes to `levels[1]`, 2 SELL goes to `levels[0]`
    - `levels`: Discrete(n), action i goes to `levels[i]`
    - `continuous`: Box(-1, 1, (1,)), mapped linearly onto [levels[0], levels[-1]]
    - `weights`: Box(-1, 1, (k,)), the shares of equity in `pairs`, together at most `levels[-1]`; see
      `market.kernel.basket.target_weights`

    `band`: targets nearer than this to the present exposure keep what is held (leaving to 0 always trades).
    """

    kind: str = "hold_buy_sell"
    levels: tuple[float, ...] = (0.0, 1.0)
    band: float = 0.01
    pairs: tuple[str, ...] = ()  # that weights are given to, in this order

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(float(level) for level in self.levels))
        if self.kind not in KINDS:
            raise BadInput(
                f"action kind {self.kind!r} is unknown; choose one of {', '.join(KINDS)}", "action"
            )
        if len(self.levels) < 2 or list(self.levels) != sorted(set(self.levels)):
            raise BadInput("action levels must be at least two exposures in increasing order", "levels")
        if self.levels[0] < -MOST_LEVERAGE or self.levels[-1] > MOST_LEVERAGE:
            raise BadInput(f"action levels must lie within {MOST_LEVERAGE} times the equity", "levels")
        if self.kind != "levels" and len(self.levels) != 2:
            raise BadInput(
                f"{self.kind} actions take two levels, the lowest and the highest exposure", "levels"
            )
        if not 0 <= self.band < 1:
            raise BadInput("the action band must be at least 0 and below 1", "band")
        self._check_pairs()

    def _check_pairs(self) -> None:
        object.__setattr__(self, "pairs", tuple(self.pairs))
        if self.kind != WEIGHTS:
            if self.pairs:
                raise BadInput(f"only weights are given to several pairs, not {self.kind} actions", "action")
            return
        if not 1 <= len(set(self.pairs)) == len(self.pairs) <= MOST_PAIRS:
            raise BadInput(f"weights need 1 to {MOST_PAIRS} pairs, each of them once", "pairs")
        if self.levels[0] != 0 or not 0 < self.levels[1] <= 1:
            raise BadInput(
                "weights are shares of equity held long: action levels must be 0 and the most that they may "
                "add up to, at most 1",
                "levels",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Return one name per discrete action; TARGET of a continuous one, the pairs of weights."""
        if self.kind == "hold_buy_sell":
            return "HOLD", "BUY", "SELL"
        if self.kind == "continuous":
            return ("TARGET",)
        if self.kind == WEIGHTS:
            return self.pairs
        return tuple(f"{level:+.0%}" if level else "FLAT" for level in self.levels)

    def space(self) -> gym.Space:
        if self.kind == "continuous":
            return gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        if self.kind == WEIGHTS:
            return gym.spaces.Box(-1.0, 1.0, (len(self.pairs),), np.float32)
        return gym.spaces.Discrete(len(self.names))

    @property
    def is_continuous(self) -> bool:
        return self.kind in ("continuous", WEIGHTS)

    def weights(self, wishes: Sequence[float]) -> list[float]:
        """Return the weights that k wishes in -1..1 ask for, in the order of `pairs`."""
        found = [0.0] * len(self.pairs)
        target_weights(wishes, self.levels[-1], found)
        return found

    def table(self) -> np.ndarray:
        """Return the exposure each discrete action asks for, float64 (n,); NaN keeps what is held."""
        if self.kind == "hold_buy_sell":
            return np.array([np.nan, self.levels[1], self.levels[0]])
        return np.array(self.levels)

    def asked(self, action: Any) -> float | None:
        """Return the exposure an action asks for, before the band; None keeps what is held."""
        if self.kind == "continuous":
            share = (min(max(float(np.asarray(action).reshape(-1)[0]), -1.0), 1.0) + 1.0) / 2.0
            return self.levels[0] + share * (self.levels[1] - self.levels[0])
        exposure = float(self.table()[int(action)])
        return None if np.isnan(exposure) else exposure

    def target(self, action: Any, current: float) -> float | None:
        """Return the exposure to trade towards from the `current` one; None keeps what is held."""
        exposure = self.asked(action)
        return None if exposure is None or is_kept(exposure, current, self.band) else exposure

    def legal(self, current: float) -> list[bool]:
        """Return which discrete actions can do something at an exposure, or keep it.

        Buying with no cash left and selling what is not held change nothing, nor does a level within the
        band; of levels the nearest stays legal, so that there is always a way to keep what is held.
        """
        legal = []
        for exposure in self.table().tolist():
            stays = exposure == current or is_kept(exposure, current, self.band)
            legal.append(not stays)
        if self.kind == "hold_buy_sell":
            legal[HOLD] = True
        else:
            nearest = min(range(len(self.levels)), key=lambda at: abs(self.levels[at] - current))
            legal[nearest] = True
        return legal

    def capped(self, max_exposure: float) -> "ActionSpec":
        """Return the same actions with every exposure cut to [-max_exposure, max_exposure]."""
        low, high = self.levels[0], self.levels[-1]
        if max(abs(low), abs(high)) <= max_exposure:
            return self
        if self.kind == "levels":
            widest = low if -low > high else high
            raise BadInput(
                f"action level {widest:g} is above the maximum exposure {max_exposure:g}", "levels"
            )
        return ActionSpec(
            self.kind, (max(low, -max_exposure), min(high, max_exposure)), self.band, self.pairs
        )

    def to_dict(self) -> dict[str, Any]:
        written = {"kind": self.kind, "levels": list(self.levels), "band": self.band}
        return written | ({"pairs": list(self.pairs)} if self.pairs else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ActionSpec":
        """Read what `to_dict` wrote. :raises BadInput: for unknown keys or values that make no sense"""
        unknown = set(values) - {"kind", "levels", "band", "pairs"}
        if unknown:
            raise BadInput(f"action has no setting {', '.join(sorted(unknown))}", "action")
        return cls(**values)
