"""Where episodes start: the draws of `market.kernel.batch`, bit for bit, as torch tensors."""

import numpy as np
import torch
from torch import Tensor

ACCOUNT, FIRST, SECOND = 0xD1B54A32D192ED03, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
BITS = 64


def counters(accounts: int, device: torch.device) -> Tensor:
    """Return what every account adds to a draw, int64 (N,): unsigned numbers by their bits."""
    steps = np.arange(accounts, dtype=np.uint64) * np.uint64(ACCOUNT)
    return torch.from_numpy(steps.view(np.int64)).to(device)


def places(draw: int, counters: Tensor, count: int) -> Tensor:
    """Return for every account a place in 0..count-1, int64 (N,), see `market.kernel.batch._mixed`."""
    bits = counters + draw
    for _ in range(2):
        bits = (bits ^ _shifted(bits, 30)) * _signed(FIRST)
        bits = (bits ^ _shifted(bits, 27)) * _signed(SECOND)
        bits = bits ^ _shifted(bits, 31)
    halves = _shifted(bits, 1) % count  # the remainder of an unsigned number, in signed ones
    return (2 * halves + (bits & 1)) % count


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Return unsigned numbers shifted to the right."""
    return (bits >> by) & ((1 << (BITS - by)) - 1)


def _signed(number: int) -> int:
    return number - 2**BITS
