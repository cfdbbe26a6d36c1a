"""A forecast of boosted trees as one more feature, in numpy: a row's forecast depends on that row alone.

`agents.rl.forecasting` fits the trees; they are kept in the model's card.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from market.errors import BadInput
from market.features import Scaler

LIMIT = 5.0  # of a forecast, in its own deviations
FIELDS = {
    "column": np.int32,
    "threshold": np.float32,
    "left": np.int32,
    "right": np.int32,
    "value": np.float32,
}


@dataclass(frozen=True, eq=False)
class Trees:
    """All nodes of all trees one after another, (N,) each; a leaf's `left` is -1 and its `value` counts."""

    roots: np.ndarray  # int32 (trees,)
    column: np.ndarray
    threshold: np.ndarray  # smaller goes left
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the sum of the leaves that each row comes to: float32 (n, F) -> (n,)."""
        total, each = np.zeros(len(rows), np.float32), np.arange(len(rows))
        for root in self.roots:
            at = np.full(len(rows), root)
            while (self.left[at] >= 0).any():
                is_left = rows[each, self.column[at]] < self.threshold[at]
                at = np.where(self.left[at] < 0, at, np.where(is_left, self.left[at], self.right[at]))
            total += self.value[at]
        return total

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).tolist() for name in ("roots", *FIELDS)}

    @classmethod
    def from_json(cls, data: Any) -> "Trees":
        """Return the trees that `to_json` described, to the last bit. :raises BadInput: when malformed"""
        try:
            parts = {name: np.array(data[name], dtype) for name, dtype in FIELDS.items()}
            trees = cls(np.array(data["roots"], np.int32), **parts)
            trees.predict(np.zeros((1, int(trees.column.max()) + 1), np.float32))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BadInput("the model's forecast is damaged: train it again", "model") from error
        return trees


@dataclass(frozen=True, eq=False)
class Forecasting:
    """See `Scaling`: scaled features, and behind them the trees' forecast in units of its own deviation."""

    scaler: Scaler
    trees: Trees
    deviation: float
    added: int = 1  # columns beside the features

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 (n, F + 1) of raw rows (n, F), or (F + 1,) of one; NaN where a feature has none."""
        scaled = self.scaler.transform(rows)
        flat = scaled.reshape(-1, scaled.shape[-1])
        forecast = self.in_deviations(self.trees.predict(flat))
        forecast[np.isnan(flat).any(axis=1)] = np.nan
        return np.concatenate([scaled, forecast.reshape(*scaled.shape[:-1], 1)], axis=-1)

    def in_deviations(self, forecasts: np.ndarray) -> np.ndarray:
        return np.clip(forecasts / np.float32(self.deviation), -LIMIT, LIMIT).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        return {"trees": self.trees.to_json(), "deviation": self.deviation}

    @classmethod
    def from_json(cls, scaler: Scaler, data: Any) -> "Forecasting":
        """Return what `to_json` described. :raises BadInput: when it is malformed"""
        try:
            return cls(scaler, Trees.from_json(data["trees"]), float(data["deviation"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput("the model's forecast is damaged: train it again", "model") from error
