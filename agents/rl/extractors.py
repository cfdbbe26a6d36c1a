"""Features extractors for the library's policies: what to make of a window of feature rows.

Each codes the window into `width` numbers; the rest of the observation (the portfolio) goes beside them. The
same forward in numpy is `agents.policies.sight`.
"""

from contextlib import nullcontext
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from agents.policies.sight import Sight


class Tcn(nn.Module):
    """Causal convolutions whose reach doubles from layer to layer (Bai, Kolter & Koltun 2018)."""

    def __init__(self, columns: int, width: int, layers: int, taps: int) -> None:
        super().__init__()
        self.taps = taps
        self.inlet = nn.Linear(columns, width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, taps, dilation=2**layer) for layer in range(layers)
        )

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """(n, T, F) -> (n, C)"""
        signal = self.inlet(window).transpose(1, 2)  # (n, C, T)
        for layer, convolution in enumerate(self.convolutions):
            past = functional.pad(signal, ((self.taps - 1) * 2**layer, 0))
            signal = signal + torch.relu(convolution(past))
        return signal[:, :, -1]


class Recurrent(nn.Module):
    """The last hidden state of an LSTM or a GRU over the window."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU], columns: int, width: int, layers: int) -> None:
        super().__init__()
        self.cell = kind(columns, width, num_layers=layers, batch_first=True)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """(n, T, F) -> (n, H)"""
        return self.cell(window)[0][:, -1]


class Transformer(nn.Module):
    """The newest row's code after attending to the whole window (Vaswani et al. 2017; normalised first).

    :param is_curved: gradients of gradients are asked for, as by TRPO: torch's fused attention has none, and
        the plain one takes up to a fifth longer
    """

    def __init__(
        self, rows: int, columns: int, width: int, layers: int, heads: int, is_curved: bool = False
    ) -> None:
        super().__init__()
        self.is_curved = is_curved
        self.inlet = nn.Linear(columns, width)
        self.places = nn.Parameter(torch.randn(rows, width) * 0.1)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """(n, T, F) -> (n, D)"""
        signal = self.inlet(window) + self.places
        with sdpa_kernel(SDPBackend.MATH) if self.is_curved else nullcontext():
            for block in self.blocks:
                signal = block(signal)
        return signal[:, -1]


class WindowExtractor(BaseFeaturesExtractor):
    """Codes the first rows * columns numbers of an observation by one of the modules above."""

    def __init__(
        self,
        observation_space: gym.Space,
        kind: str,
        rows: int,
        columns: int,
        width: int,
        layers: int,
        heads: int,
        taps: int,
        is_curved: bool = False,
    ) -> None:
        self.inputs = int(observation_space.shape[0])  # type: ignore[index]  # a vector
        super().__init__(observation_space, width + self.inputs - rows * columns)
        self.kind, self.rows, self.columns, self.heads = kind, rows, columns, heads
        if kind == "transformer":
            self.code: nn.Module = Transformer(rows, columns, width, layers, heads, is_curved)
        else:
            self.code = _module(kind, columns, width, layers, taps)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(n, dim) -> (n, width + rest)"""
        size = self.rows * self.columns
        window = observations[:, :size].reshape(-1, self.rows, self.columns)
        return torch.cat([self.code(window), observations[:, size:]], dim=1)


def _module(kind: str, columns: int, width: int, layers: int, taps: int) -> nn.Module:
    if kind == "tcn":
        return Tcn(columns, width, layers, taps)
    return Recurrent({"lstm": nn.LSTM, "gru": nn.GRU}[kind], columns, width, layers)


def sight_of(extractor: Any) -> Sight | None:
    """Return an extractor in numpy; None of one that passes observations on as they are."""
    if not isinstance(extractor, WindowExtractor):
        return None
    return Sight(
        extractor.kind,
        extractor.rows,
        extractor.columns,
        extractor.inputs,
        arrays_of(extractor.code),
        heads=extractor.heads,
    )


def arrays_of(module: nn.Module) -> dict[str, Any]:
    """Return a module's weights as float32 arrays by their names, without that of a wrapped cell."""
    return {
        name.removeprefix("cell."): tensor.detach().cpu().numpy().astype("float32", order="C", copy=True)
        for name, tensor in module.state_dict().items()
    }
