"""One observation for policies that look at different things: the union, and each one's part of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agents.observation import PORTFOLIO
from agents.policies.port import ObservationNeeds, Scaling
from market.errors import BadInput
from market.features import FeatureSet, FeatureSpec

TIME = PORTFOLIO.index("time_in_position")
LONG = 1e6  # bars; a scale at which float32 still tells every single bar of a position's life apart


@dataclass(frozen=True, eq=False)
class Stack:
    """The scalers of several policies side by side: each reads its own columns of the union's rows."""

    parts: tuple[tuple[np.ndarray, Scaling], ...]  # columns of the union, and what scales them

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 (n, sum of the members' F) of raw rows (n, F of the union)."""
        scaled = [scaler.transform(rows.take(columns, axis=-1)) for columns, scaler in self.parts]
        return np.concatenate(scaled, axis=-1)


@dataclass(frozen=True, slots=True)
class Part:
    """Where one policy's observation lies in the council's."""

    window: int
    columns: slice  # of the stacked, scaled rows
    bars_scale: float

    def take(self, rows: np.ndarray, portfolio: np.ndarray, bars_scale: float) -> np.ndarray:
        """Return the observation the policy alone would have been given, float32, bit for bit.

        :param rows: scaled rows of the council, float32 (W, C)
        :param portfolio: float32 (5,), whose time in position was taken with the council's `bars_scale`
        """
        own = rows[len(rows) - self.window :, self.columns]
        made = np.empty(own.size + len(PORTFOLIO), dtype=np.float32)
        made[: own.size] = own.reshape(-1)  # (W of the member, F) -> (W * F,)
        made[own.size :] = portfolio
        if self.bars_scale != bars_scale:
            made[own.size + TIME] = self._time(float(portfolio[TIME]), bars_scale)
        return made

    def _time(self, time: float, bars_scale: float) -> float:
        bars = float(round(time * bars_scale / (1 - time))) if time < 1 else float("inf")
        return bars / (bars + self.bars_scale) if bars < float("inf") else 1.0


def joined(needs: Sequence[ObservationNeeds]) -> tuple[ObservationNeeds, tuple[Part, ...]]:
    """Return what all of these need together, and where each finds its part.

    Equal features are computed once. Where the scales of time in position differ, the council uses a long one
    that each member's own can be had from.

    :raises BadInput: when two different features cannot be told apart by name
    """
    union: dict[str, FeatureSpec] = {}
    parts: list[Part] = []
    pairs: list[tuple[list[str], Scaling]] = []
    taken = 0
    for one in needs:
        names = [_added(union, spec) for spec in one.feature_set.specs]
        parts.append(Part(one.window, slice(taken, taken + one.columns), one.bars_scale))
        pairs.append((names, one.scaler))
        taken += one.columns
    position = {name: at for at, name in enumerate(union)}
    columns = [(np.array([position[name] for name in names]), scaler) for names, scaler in pairs]
    scales = {one.bars_scale for one in needs}
    window = max(one.window for one in needs)
    scale = scales.pop() if len(scales) == 1 else LONG
    feature_set = FeatureSet(tuple(union.values()))
    return ObservationNeeds(feature_set, Stack(tuple(columns)), window, scale), tuple(parts)


def _added(union: dict[str, FeatureSpec], spec: FeatureSpec) -> str:
    """Add a feature unless it is there already, and return its name in the union."""
    for name in (spec.name, *(f"{spec.name[:56]}~{number}" for number in range(2, 100))):
        there = union.setdefault(name, replace(spec, name=name))
        if (there.kind, there.params) == (spec.kind, spec.params):
            return name
    raise BadInput(f"too many different features are named {spec.name!r}", "members")
