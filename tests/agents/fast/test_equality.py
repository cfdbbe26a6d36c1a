"""The compiled update is the library's update."""

import pytest
from torch import nn

from tests.agents.fast.helpers import CONTINUOUS, SharedOrder, both_updates, distance, make, rollout

DECOUPLED = {"weight_decay": 0.5, "decoupled_weight_decay": True, "eps": 1e-5}
CASES = {
    "defaults": {"net_arch": (64, 64)},
    "narrow and wide": {"net_arch": {"pi": [7], "vf": [40, 33, 9]}, "ent_coef": 0.01},
    "deep relu": {"net_arch": (24, 16, 8), "activation": nn.ReLU, "clip_range_vf": 0.2},
    "rest batch": {"batch_size": 100, "n_epochs": 11},
    "batch of one left": {"batch_size": 82, "n_epochs": 8, "steps": 73, "envs": 8 + 1},
    "large batch": {"batch_size": 256, "n_epochs": 32, "ent_coef": 0.02},
    "not normalised": {"normalize_advantage": False, "max_grad_norm": 10.0},
    "tight clip": {"clip_range": 0.01, "clip_range_vf": 0.01, "learning_rate": 1e-3, "max_grad_norm": 0.05},
    "decay": {"optimizer": {"weight_decay": 0.01, "eps": 1e-5}},
    "decay aside": {"optimizer": DECOUPLED, "learning_rate": 1e-3},
    "gaussian decay": {"action": CONTINUOUS, "optimizer": DECOUPLED, "activation": nn.ReLU},
    "gaussian": {"action": CONTINUOUS, "ent_coef": 0.01},
    "gaussian wide": {"action": CONTINUOUS, "net_arch": (128,), "clip_range_vf": 0.1, "batch_size": 48},
}


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize("case", CASES)
def test_sixty_four_updates_give_the_weights_of_torch(case):
    model = make(SharedOrder, **{"n_epochs": 8, **CASES[case]})
    rollout(model)
    model.train()
    rollout(model)  # old and new policy differ, Adam has a history
    found = both_updates(model)
    assert found["moved"] > 1e-4
    assert distance(found["fast"][0], found["slow"][0]) < 1e-6
    assert distance(found["fast"][1], found["slow"][1]) < 1e-5
    for name, value in found["slow"][2].items():
        assert found["fast"][2][name] == pytest.approx(value, rel=1e-4, abs=2e-6), name
