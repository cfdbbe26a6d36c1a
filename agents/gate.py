"""When an opinion is too doubtful, or the market too quiet, to pay for a trade."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from agents.policies.port import Opinion
from market.errors import BadInput


@dataclass(frozen=True, slots=True)
class Gate:
    """Thresholds between an opinion and an order; 0 switches one off."""

    confidence: float = 0.0  # least probability of the chosen action, 0..1
    min_move: float = 0.0  # least range of the last `move_bars` closes, as a fraction of the lowest
    move_bars: int = 60

    def __post_init__(self) -> None:
        _require(
            _is_number(self.confidence) and 0 <= self.confidence <= 1, "confidence", "a number from 0 to 1"
        )
        _require(
            _is_number(self.min_move) and 0 <= self.min_move < 1, "min_move", "a fraction from 0 to below 1"
        )
        _require(
            isinstance(self.move_bars, int) and 2 <= self.move_bars <= 10_000,
            "move_bars",
            "a whole number from 2 to 10000",
        )

    @property
    def closes_needed(self) -> int:
        """How many closes `passed` reads, the newest included."""
        return self.move_bars if self.min_move > 0 else 1

    def passed(self, opinion: Opinion, closes: np.ndarray, current: float) -> tuple[float | None, str]:
        """Return (target exposure, reason): target None keeps what is held, and the reason says why if gated.

        A doubtful opinion changes nothing. A quiet market forbids only what enlarges the position: costs
        would eat the move, but leaving must always be possible.

        :param closes: (n,) at least `closes_needed`, oldest first, the last one is the bar just closed
        :param current: exposure held now
        """
        target = opinion.target
        if target is None:
            return None, ""
        if opinion.confidence is not None and opinion.confidence < self.confidence:
            return None, f"confidence {opinion.confidence:.2f} is below {self.confidence:.2f}"
        if self.min_move > 0 and (abs(target) > abs(current) or target * current < 0):
            recent = closes[-self.move_bars :]
            lowest = float(recent.min())
            move = (float(recent.max()) - lowest) / lowest
            if move < self.min_move:
                return None, f"moved {move:.3%} in {len(recent)} bars, less than {self.min_move:.3%}"
        return target, ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Gate":
        """Read settings. :raises BadInput: for an unknown key or a value out of bounds"""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise BadInput(f"there is no gate setting {unknown[0]!r}", unknown[0])
        return cls(**values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(is_met: bool, name: str, bounds: str) -> None:
    if not is_met:
        raise BadInput(f"{name} must be {bounds}", name)
