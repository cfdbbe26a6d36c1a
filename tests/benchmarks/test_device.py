"""The benchmark of tensors measures every number of accounts it names."""

import math

import pytest

from benchmarks.bench_device import run
from market.errors import BadInput


def test_a_small_run_gives_every_figure():
    found = run(device="cpu", bars=3_000, features=3, repeats=1, n_envs=2_048)
    rates = {name: value for name, value in found.items() if "_per_s_" in name}
    assert set(rates) == {f"{name}_per_s_2048" for name in ("env_steps", "frames", "compiled_env_steps")}
    assert all(math.isfinite(value) and value > 0 for value in rates.values())
    assert found["device"] == "tensors on the CPU"


def test_a_device_that_there_is_not_is_refused():
    with pytest.raises(BadInput, match="auto, cpu or cuda"):
        run(device="tpu")
