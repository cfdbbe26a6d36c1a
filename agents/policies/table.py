"""A table of action values behind the same face as a network: what tabular learning leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.policies.network import GREEDY, hash_of
from market.errors import BadInput


@dataclass(frozen=True)
class Table:
    """Values of discrete actions for each combination of bins.

    `columns` int64 (C,) are the places of an observation that are read, `edges` float32 (C, E) the bounds
    between a column's bins, filled up with infinity, `sizes` int64 (C,) its number of bins, `values` float32
    (S, actions) with S the product of the sizes, the first column's bins slowest.
    """

    columns: np.ndarray
    edges: np.ndarray
    sizes: np.ndarray
    values: np.ndarray
    inputs: int
    head: str = GREEDY
    is_continuous: bool = False
    log_std: None = None

    @property
    def outputs(self) -> int:
        return self.values.shape[1]

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return the values of the actions: (..., dim) -> (..., outputs)."""
        return self.values[self.state_of(observation)]

    def value(self, observation: np.ndarray) -> np.ndarray:
        """Return the value of the best action: (..., dim) -> (..., 1)."""
        return self.act(observation).max(axis=-1, keepdims=True)

    def forward(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `act` and `value` of many observations, (n, dim) -> (n, outputs), (n,)."""
        return self.act(observations), self.value(observations)[:, 0]

    def answer(self, observation: np.ndarray) -> tuple[list[float], float]:
        """Return `act` and `value` of one observation, (dim,), as plain numbers."""
        outputs, values = self.forward(observation[np.newaxis])
        return outputs[0].tolist(), float(values[0])

    def state_of(self, observation: np.ndarray) -> np.ndarray:
        """Return which row of the table an observation falls on: (..., dim) -> (...)."""
        bins = (observation[..., self.columns, None] > self.edges).sum(axis=-1)  # (..., C)
        return bins @ strides_of(self.sizes)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of every number's bits."""
        return hash_of("table", self.to_arrays())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what `weights.npz` holds."""
        parts = {"columns": self.columns, "edges": self.edges, "sizes": self.sizes, "values": self.values}
        return {**{f"table.{name}": part for name, part in parts.items()}, "inputs": np.array(self.inputs)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Table":
        """Return the table that `to_arrays` described. :raises BadInput: when it does not fit together"""
        try:
            columns, sizes = (np.asarray(arrays[f"table.{name}"], np.int64) for name in ("columns", "sizes"))
            edges, values = (np.asarray(arrays[f"table.{name}"], np.float32) for name in ("edges", "values"))
            inputs = int(arrays["inputs"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput("the model's table is incomplete: train it again", "model") from error
        is_whole = columns.shape == sizes.shape == edges.shape[:1] and columns.ndim == 1
        if not is_whole or values.ndim != 2 or len(values) != sizes.prod() or columns.max() >= inputs:
            raise BadInput("the model's table does not fit together: train it again", "model")
        return cls(columns, edges, sizes, values, inputs)


def strides_of(sizes: np.ndarray) -> np.ndarray:
    """Return how many rows of a table one bin of each column is worth, int64 (C,)."""
    return np.append(np.cumprod(sizes[:0:-1], dtype=np.int64)[::-1], 1)
