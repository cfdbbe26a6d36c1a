"""What a network makes of a window of feature rows before its dense layers, in numpy.

Names of arrays are those that torch gives the same weights; `agents.rl.extractors` trains them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from market.errors import BadInput

Arrays = Mapping[str, np.ndarray]
EPSILON = np.float32(1e-5)  # of a layer's normalisation
META = ("kind", "rows", "columns", "inputs", "stride", "heads")


@dataclass(frozen=True, eq=False)
class Sight:
    """The window's code, then the rest of the observation (the portfolio) as it is.

    `kind` is one of `KINDS`; the window is float32 (rows, columns) at the head of an observation of `inputs`
    numbers. `stride`: every so many rows are read, the newest included, as met by who acts every k bars.
    """

    kind: str
    rows: int
    columns: int
    inputs: int
    arrays: dict[str, np.ndarray]
    stride: int = 1
    heads: int = 1

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Return (..., width + rest) of (..., inputs); many rows give the bits of each one alone."""
        if observation.ndim > 1:
            return np.stack([self(row) for row in observation])
        size = self.rows * self.columns
        window = observation[:size].reshape(self.rows, self.columns)[:: self.stride]
        return np.concatenate([KINDS[self.kind](window, self.arrays, self.heads), observation[size:]])

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Return what `weights.npz` holds, every name behind a prefix."""
        meta = {name: np.array(getattr(self, name)) for name in META}
        return {f"{prefix}{name}": array for name, array in {**meta, **self.arrays}.items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, prefix: str) -> "Sight | None":
        """Return what `to_arrays` described; None where there is nothing behind the prefix.

        :raises BadInput: when something is missing or of a kind that is unknown here
        """
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        if not own:
            return None
        try:
            kind, (rows, columns, inputs, stride, heads) = (
                str(own["kind"]),
                (int(own[name]) for name in META[1:]),
            )
        except (KeyError, ValueError) as error:
            raise BadInput("the model's weights are incomplete: train it again", "model") from error
        if kind not in KINDS:
            raise BadInput(f"the model looks at its window by {kind!r}, which is unknown here", "model")
        weights = {name: np.ascontiguousarray(a, np.float32) for name, a in own.items() if name not in META}
        sight = cls(kind, rows, columns, inputs, weights, stride, heads)
        try:
            sight(np.zeros(inputs, np.float32))
        except (KeyError, ValueError, IndexError) as error:
            raise BadInput("the model's weights do not fit together: train it again", "model") from error
        return sight


def lstm(window: np.ndarray, arrays: Arrays, heads: int) -> np.ndarray:
    """Return the last hidden state: (T, F) -> (H,)."""
    for layer in range(_layers(arrays)):
        weight, bias, width = _gates(arrays, layer)
        hidden, cell = np.zeros((2, width), np.float32)
        found = window @ arrays[f"weight_ih_l{layer}"].T + bias  # (T, 4 H)
        states = np.empty((len(window), width), np.float32)
        for at, row in enumerate(found):
            gates = row + weight @ hidden
            kept, forgot, shown = (_sigmoid(gates[k * width : (k + 1) * width]) for k in (0, 1, 3))
            cell = forgot * cell + kept * np.tanh(gates[2 * width : 3 * width])
            states[at] = hidden = shown * np.tanh(cell)
        window = states
    return window[-1]


def gru(window: np.ndarray, arrays: Arrays, heads: int) -> np.ndarray:
    """Return the last hidden state: (T, F) -> (H,)."""
    for layer in range(_layers(arrays)):
        weight, own = arrays[f"weight_hh_l{layer}"], arrays[f"bias_hh_l{layer}"]
        width = weight.shape[1]
        hidden = np.zeros(width, np.float32)
        found = window @ arrays[f"weight_ih_l{layer}"].T + arrays[f"bias_ih_l{layer}"]  # (T, 3 H)
        states = np.empty((len(window), width), np.float32)
        for at, row in enumerate(found):
            past = weight @ hidden + own
            reset, update = (_sigmoid((row + past)[k * width : (k + 1) * width]) for k in (0, 1))
            new = np.tanh(row[2 * width :] + reset * past[2 * width :])
            states[at] = hidden = (1 - update) * new + update * hidden
        window = states
    return window[-1]


def tcn(window: np.ndarray, arrays: Arrays, heads: int) -> np.ndarray:
    """Return the last step of causal convolutions whose reach doubles by layer: (T, F) -> (C,)."""
    signal = window @ arrays["inlet.weight"].T + arrays["inlet.bias"]  # (T, C)
    layer = 0
    while f"convolutions.{layer}.weight" in arrays:
        weight = arrays[f"convolutions.{layer}.weight"]  # (C out, C in, K)
        taps, step = weight.shape[2], 2**layer
        padded = np.concatenate([np.zeros(((taps - 1) * step, signal.shape[1]), np.float32), signal])
        found = np.tile(arrays[f"convolutions.{layer}.bias"], (len(signal), 1))
        for tap in range(taps):
            found += padded[tap * step : tap * step + len(signal)] @ weight[:, :, tap].T
        signal = signal + np.maximum(found, 0)
        layer += 1
    return signal[-1]


def transformer(window: np.ndarray, arrays: Arrays, heads: int) -> np.ndarray:
    """Return the newest row's code after attending to all: (T, F) -> (D,)."""
    signal = window @ arrays["inlet.weight"].T + arrays["inlet.bias"] + arrays["places"]  # (T, D)
    layer = 0
    while f"blocks.{layer}.linear1.weight" in arrays:
        own = {
            n.removeprefix(f"blocks.{layer}."): a
            for n, a in arrays.items()
            if n.startswith(f"blocks.{layer}.")
        }
        signal = signal + _attended(_normed(signal, own, "norm1"), own, heads)
        wide = np.maximum(_dense(_normed(signal, own, "norm2"), own, "linear1"), 0)
        signal = signal + _dense(wide, own, "linear2")
        layer += 1
    return signal[-1]


KINDS = {"lstm": lstm, "gru": gru, "tcn": tcn, "transformer": transformer}


def _attended(signal: np.ndarray, arrays: Arrays, heads: int) -> np.ndarray:
    """Return multi-head self-attention of (T, D)."""
    steps, width = signal.shape
    joint = signal @ arrays["self_attn.in_proj_weight"].T + arrays["self_attn.in_proj_bias"]  # (T, 3 D)
    query, key, value = joint.reshape(steps, 3, heads, width // heads).transpose(
        1, 2, 0, 3
    )  # (heads, T, D / heads)
    scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(width // heads))
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    mixed = (weights @ value).transpose(1, 0, 2).reshape(steps, width)
    return mixed @ arrays["self_attn.out_proj.weight"].T + arrays["self_attn.out_proj.bias"]


def _normed(signal: np.ndarray, arrays: Arrays, name: str) -> np.ndarray:
    centred = signal - signal.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + EPSILON) * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]


def _dense(signal: np.ndarray, arrays: Arrays, name: str) -> np.ndarray:
    return signal @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]


def _layers(arrays: Arrays) -> int:
    return sum(name.startswith("weight_ih_l") for name in arrays)


def _gates(arrays: Arrays, layer: int) -> tuple[np.ndarray, np.ndarray, int]:
    weight = arrays[f"weight_hh_l{layer}"]
    return weight, arrays[f"bias_ih_l{layer}"] + arrays[f"bias_hh_l{layer}"], weight.shape[1]


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * values))  # never overflows
