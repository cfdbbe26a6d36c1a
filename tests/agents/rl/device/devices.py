"""Where the same tests run: everywhere on the CPU's tensors, and on the GPU where there is one."""

import pytest
import torch

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")),
]
on_every_device = pytest.mark.parametrize("device", DEVICES)
