"""Fast PPO as an algorithm of training runs: it resumes exactly, and its model loads as any other."""

import numpy as np
import pytest
from stable_baselines3 import PPO

from agents.evaluation.data import prepare
from agents.rl.training import learn
from agents.spec import TrainingSpec
from tests.agents.markets import stored, walk
from tests.agents.rl.test_learning import SMALL, Ear

SPEC = TrainingSpec.parse(SMALL | {"algorithm": "fast_ppo"})


@pytest.fixture
def ready(db, user):
    return prepare(stored(walk(1200), user), SPEC)


def test_a_killed_fast_run_resumed_ends_with_the_weights_of_an_uninterrupted_one(ready, tmp_path):
    whole = learn(SPEC, ready, tmp_path / "whole", Ear())
    with pytest.raises(KeyboardInterrupt):
        learn(SPEC, ready, tmp_path / "killed", Ear(kill_at=150))
    resumed = learn(SPEC, ready, tmp_path / "killed", Ear())
    assert resumed.network.hash == whole.network.hash
    assert resumed.metrics == whole.metrics


def test_the_saved_model_opens_as_plain_ppo_and_thinks_as_the_network_does(ready, tmp_path):
    outcome = learn(SPEC, ready, tmp_path / "run", Ear())
    (tmp_path / "policy.zip").write_bytes(outcome.policy_zip)
    plain = PPO.load(tmp_path / "policy.zip", device="cpu")
    seen = np.random.default_rng(0).normal(size=(50, outcome.network.inputs)).astype(np.float32)
    actions, _ = plain.predict(seen, deterministic=True)
    assert [int(np.argmax(outcome.network.act(row))) for row in seen] == actions.tolist()
