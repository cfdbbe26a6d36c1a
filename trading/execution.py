"""How a session trades: its order style, its contest helpers, and what it does about shorts it did not open.

They lie beside the policy's in `LiveSession.settings`, flat: `{"style": "limit", "deadline_s": 90}`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

from market.errors import BadInput

STYLES = {
    "market": "Market: at once, at the touch",
    "limit": "Limit: at the touch, re-quoted, the rest at the market after the deadline",
    "split": "Split: equal market orders over a time",
}
DAY_S = 86_400
BOUNDS: dict[str, tuple[float, float]] = {  # bounds included
    "deadline_s": (1, 3600),
    "requote_s": (5, 3600),
    "children": (2, 50),
    "over_s": (1, 21_600),
    "activity_s": (0, DAY_S),
    "activity_share": (0.001, 0.2),
    "turnover_budget": (0, 10_000),
}


@dataclass(frozen=True, slots=True)
class Execution:
    """Checked settings; all times are seconds of the venue's clock."""

    style: str = "market"
    deadline_s: float = 60.0  # limit: from the decision until the rest goes to market
    requote_s: float = 30.0  # limit: least time between two prices
    children: int = 4  # split: number of orders
    over_s: float = 60.0  # split: from the first order to the time after the last
    activity_s: float = 0.0  # this long before an idle UTC day ends one small trade is made; 0 is off
    activity_share: float = 0.02  # of equity, that trade's size
    turnover_budget: float = 0.0  # traded notional per UTC day over its first equity, then exits; 0 is off

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise BadInput(f"there is no style {self.style!r}; choose {', '.join(STYLES)}", "style")
        for name, (low, high) in BOUNDS.items():
            _check(name, getattr(self, name), low, high)
        object.__setattr__(self, "children", int(self.children))  # JSON may say 4.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Execution":
        """Read the execution's part of a session's settings; others are somebody else's.

        :raises BadInput: for a value that makes no sense.
        """
        own = own_part(values)
        try:
            return _known(**own)  # every turn asks
        except TypeError:  # a list or an object, which cannot be looked up: say what is wrong with it
            return cls(**own)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


KEYS = tuple(field.name for field in fields(Execution))


@lru_cache(maxsize=1024, typed=True)
def _known(**own: Any) -> Execution:
    return Execution(**own)


def own_part(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that concern execution."""
    return {key: value for key, value in values.items() if key in KEYS}


def _check(name: str, value: Any, low: float, high: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not low <= value <= high:
        raise BadInput(f"{name} must be a number from {low:g} to {high:g}, not {value!r}", name)
    if name == "children" and value != int(value):
        raise BadInput(f"children must be a whole number from {low:g} to {high:g}, not {value!r}", name)
