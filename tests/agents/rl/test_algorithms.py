"""Every algorithm of the register: it learns, it resumes, and what it leaves behind trades as it thinks."""

import numpy as np
import pytest
import stable_baselines3

from agents import artefacts
from agents.backtest import simulate
from agents.decide import Decider
from agents.evaluation.data import prepared, split_for
from agents.evaluation.score import validation_run
from agents.policies import baseline
from agents.policies.network import Network
from agents.rl.algorithms import BUILDERS
from agents.rl.training import Stopped, card_part, learn
from agents.spec import ALGORITHMS, KNOWN
from agents.spec.algorithms import Replay
from market.features import compute
from tests.agents.markets import walk, waves
from tests.agents.rl.tasks import TASKS, spec_for
from tests.agents.rl.test_learning import Ear

LIBRARY = {
    "ppo": stable_baselines3.PPO, "fast_ppo": stable_baselines3.PPO, "a2c": stable_baselines3.A2C,
    "dqn": stable_baselines3.DQN, "sac": stable_baselines3.SAC, "td3": stable_baselines3.TD3,
}  # fmt: skip


def made_ready(candles, spec):
    return prepared(candles, compute(candles, spec.feature_set()), split_for(len(candles), spec), spec)


def growth(run):
    return run.equity[-1] / run.equity[0]


def test_the_register_the_names_and_the_tasks_are_the_same_algorithms():
    assert set(ALGORITHMS) == set(BUILDERS) == set(KNOWN) == set(TASKS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_beats_cash_and_chance_on_a_market_anybody_can_predict(algorithm, tmp_path):
    spec = spec_for(algorithm)
    ready = made_ready(waves(4000), spec)
    ear = Ear()
    outcome = learn(spec, ready, tmp_path, ear)
    policy = artefacts.policy_of(card_part(spec, ready), outcome.network, name="p", policy_hash="h")
    rule = baseline("random", turnover=0.05)
    rows = compute(ready.candles, rule.observation.feature_set)
    chance = simulate(ready.candles, rows, Decider(rule), spec.env_settings(), first=ready.split.valid_from)
    assert growth(validation_run(policy, ready, spec)) > max(1.5, growth(chance))
    losses = {name for name in ear.metrics[outcome.steps] if name.endswith("_loss")}
    assert losses
    assert {"reward", "episode_return", "valid_score"} <= set(ear.metrics[outcome.steps])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_killed_run_resumed_ends_with_the_weights_of_an_uninterrupted_one(algorithm, tmp_path):
    spec = small(algorithm)
    ready = made_ready(walk(1200), spec)
    whole = learn(spec, ready, tmp_path / "whole", Ear())
    asked = 40 if isinstance(spec.learning, Replay) else 150  # a memory is asked between updates only
    with pytest.raises(KeyboardInterrupt):
        learn(spec, ready, tmp_path / "killed", Ear(kill_at=asked))
    np.random.rand(7)  # whatever happened to the generator in between does not matter
    with pytest.raises(Stopped):
        learn(spec, ready, tmp_path / "killed", Ear(stop_at=20))
    resumed = learn(spec, ready, tmp_path / "killed", Ear())
    assert resumed.network.hash == whole.network.hash
    assert resumed.metrics == whole.metrics


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_its_archive_opens_in_the_library_and_acts_as_the_stored_network(algorithm, tmp_path):
    spec = small(algorithm, network={"net_arch": [24, 16], "activation": "relu"})
    ready = made_ready(walk(1200), spec)
    outcome = learn(spec, ready, tmp_path, Ear())
    (tmp_path / "policy.zip").write_bytes(outcome.policy_zip)
    theirs = LIBRARY[algorithm].load(tmp_path / "policy.zip", device="cpu")
    network = Network.from_arrays(outcome.network.to_arrays())
    assert network.hash == outcome.network.hash
    policy = artefacts.policy_of(card_part(spec, ready), network, name="p", policy_hash="h")
    seen = np.random.default_rng(0).normal(size=(40, network.inputs)).astype(np.float32)
    expected, _ = theirs.predict(seen, deterministic=True)
    found = [policy.opine(row, 0.5).action for row in seen]
    assert np.allclose(
        found, np.clip(expected.reshape(-1), -1 if network.is_continuous else 0, None), atol=1e-5
    )


@pytest.mark.parametrize("algorithm", ["dqn", "sac", "td3"])
def test_many_observations_give_the_bits_of_one(algorithm, tmp_path):
    spec = small(algorithm)
    ready = made_ready(walk(1200), spec)
    network = learn(spec, ready, tmp_path, Ear()).network
    seen = np.random.default_rng(0).normal(size=(9, network.inputs)).astype(np.float32)
    outputs, values = network.forward(seen)
    for row, output, value in zip(seen, outputs, values, strict=True):
        assert np.array_equal(network.act(row), output)
        assert network.value(row)[0] == value


def small(algorithm, **changes):
    """Return a short run with a few checkpoints and judgements."""
    own = {"n_envs": 8, "lr": 0.003}
    section = KNOWN[algorithm].sections[0]
    own |= {"n_steps": 32} if "n_steps" in TASKS[algorithm][1] else {}
    own |= {"batch_size": 64} if "batch_size" in TASKS[algorithm][1] else {}
    if "learning_starts" in TASKS[algorithm][1]:
        own |= {"learning_starts": 200, "buffer_size": 1000}
    changes = {"checkpoint_every": 512, "validate_every": 600, section: own, **changes}
    return spec_for(algorithm, steps=2048, **changes)
