"""Scaling of feature rows, fitted on the training part only and stored with the model."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from market.errors import BadInput
from market.kernel.packing import compiled_call

IQR_OF_NORMAL = 1.3489795003921634  # so that both kinds agree on normal data
ROWS_AT_ONCE = 8192  # keeps the temporaries in cache
CLIP = 5.0
WHOLE, MISSING, OTHER_WIDTH = range(3)  # what `_write` answers


@dataclass(frozen=True, eq=False)
class Scaler:
    """(row - centre) / scale, clipped to +-clip, as float32. `centre` and `scale` are float64, shape (F,)."""

    kind: str
    centre: np.ndarray
    scale: np.ndarray
    clip: float = CLIP

    @classmethod
    def fit(cls, rows: np.ndarray, kind: str = "robust", clip: float = CLIP) -> "Scaler":
        """Return the scaler of `rows`, shape (n, F), warm-up left out.

        "robust" takes median and interquartile range, "standard" mean and standard deviation. A column whose
        quartiles coincide falls back to its standard deviation; a constant one is centred only.

        :raises BadInput: for an unknown kind, fewer than two rows, or values that are not finite.
        """
        if kind not in MEASURES:
            raise BadInput(f"There is no scaler {kind!r}; choose one of {', '.join(MEASURES)}.", "scaler")
        if rows.ndim != 2 or len(rows) < 2:
            raise BadInput("A scaler needs at least two rows of features to learn from.", "scaler")
        if not 0 < clip < np.inf:
            raise BadInput(f"The scaler's clip must be positive, not {clip}.", "scaler")
        if not np.isfinite(rows).all():
            raise BadInput("The rows for the scaler hold missing values; leave out the warm-up.", "scaler")
        pairs = np.array([MEASURES[kind](np.ascontiguousarray(column)) for column in rows.T])
        return cls(kind, pairs[:, 0].copy(), pairs[:, 1].copy(), float(clip))

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 rows of the same shape, (n, F) or (F,), row-major; NaN stays NaN.

        :raises BadInput: when the number of columns is not the fitted one.
        """
        if rows.shape[-1] != len(self.centre):
            raise BadInput(f"The scaler knows {len(self.centre)} features, not {rows.shape[-1]}.", "scaler")
        if rows.ndim == 2 and rows.flags.carray and rows.dtype == np.float64:  # a decision's window
            out = np.empty(rows.shape, np.float32)
            self.write(rows, out.reshape(-1))
            return out
        if rows.ndim == 1 or len(rows) <= ROWS_AT_ONCE:
            return self._scaled(rows).astype(np.float32, order="C")
        out = np.empty(rows.shape, np.float32)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            out[start : start + ROWS_AT_ONCE] = self._scaled(rows[start : start + ROWS_AT_ONCE])
        return out

    def write(self, rows: np.ndarray, out: np.ndarray) -> bool:
        """Write `transform` of rows one behind the other to `out` and say whether no number is missing.

        :param rows: float64 (n, F), row-major
        :param out: float32 (n * F or more,)
        :raises BadInput: when the number of columns is not the fitted one.
        """
        found = _write(rows, self._numbers, out)
        if found == OTHER_WIDTH:
            raise BadInput(f"The scaler knows {len(self.centre)} features, not {rows.shape[-1]}.", "scaler")
        return found == WHOLE

    @cached_property
    def _numbers(self) -> np.ndarray:
        """Return centres, scales and the clip as `_write` reads them: every array costs a call."""
        return np.concatenate([self.centre, self.scale, [self.clip]])

    def _scaled(self, rows: np.ndarray) -> np.ndarray:
        scaled = (rows - self.centre) / self.scale
        return np.minimum(np.maximum(scaled, -self.clip, out=scaled), self.clip, out=scaled)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "centre": self.centre.tolist(),
            "scale": self.scale.tolist(),
            "clip": self.clip,
        }

    @classmethod
    def from_json(cls, data: Any) -> "Scaler":
        """Return the scaler that `to_json` described, to the last bit.

        :raises BadInput: when it is malformed.
        """
        try:
            centre, scale = (np.array(data[name], dtype=np.float64) for name in ("centre", "scale"))
            kind, clip = data["kind"], float(data["clip"])
            sound = kind in MEASURES and centre.ndim == 1 and centre.shape == scale.shape and clip > 0
            sound = sound and bool(np.isfinite(centre).all() and (scale > 0).all())
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise BadInput("The stored scaler is damaged: train the model again.", "scaler")
        return cls(kind, centre, scale, clip)


@compiled_call
def _write(rows, numbers, out):  # type: ignore[no-untyped-def]  # compiled: types are its caller's
    """See `Scaler.write`: what `Scaler._scaled` makes of rows, in one call, not five."""
    columns, at, found = rows.shape[1], 0, WHOLE
    if len(numbers) != 2 * columns + 1:
        return OTHER_WIDTH
    clip = numbers[2 * columns]
    for n in range(rows.shape[0]):
        for c in range(columns):
            value = (rows[n, c] - numbers[c]) / numbers[columns + c]
            value = -clip if value < -clip else clip if value > clip else value  # NaN stays NaN
            found = found if value == value else MISSING  # only NaN differs from itself
            out[at] = np.float32(value)
            at += 1
    return found


def _standard(column: np.ndarray) -> tuple[float, float]:
    centre = float(column.mean())
    return centre, _usable(float(column.std()), centre)


def _robust(column: np.ndarray) -> tuple[float, float]:
    low, centre, high = (float(value) for value in np.quantile(column, (0.25, 0.5, 0.75)))
    spread = (high - low) / IQR_OF_NORMAL
    if _usable(spread, centre) != spread:  # more than half of the column is one value
        spread = _usable(float(column.std()), centre)
    return centre, spread


def _usable(spread: float, centre: float) -> float:
    """Return the spread, or 1 where it is no more than rounding noise."""
    return spread if spread > 1e-12 * max(abs(centre), 1e-3) else 1.0


MEASURES: dict[str, Callable[[np.ndarray], tuple[float, float]]] = {"robust": _robust, "standard": _standard}
