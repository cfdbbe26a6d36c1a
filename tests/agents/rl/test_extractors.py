"""Networks that read a window: they learn what one bar does not show, and numpy sees what torch sees."""

import numpy as np
import pytest

from agents import artefacts
from agents.envs.batched import packed
from agents.evaluation.score import validation_run
from agents.rl.algorithms import BUILDERS
from agents.rl.networks import network_of, require_equal
from agents.rl.training import card_part, learn
from agents.rl.vec_env import TradingVecEnv
from agents.spec import TrainingSpec
from market.errors import BadInput
from tests.agents.markets import walk, waves
from tests.agents.rl.tasks import BASE, spec_for
from tests.agents.rl.test_algorithms import growth, made_ready
from tests.agents.rl.test_learning import Ear

EXTRACTORS = ["tcn", "lstm", "gru", "transformer"]


def looking(extractor, algorithm="ppo", **changes):
    network = {"net_arch": [16], "extractor": extractor, "width": 8, "layers": 2, "heads": 2}
    return spec_for(algorithm, window=8, network=network, **changes)


def made(spec):
    ready = made_ready(walk(900), spec)
    env = TradingVecEnv(packed(*ready.train), spec.env_settings(), spec.learning.n_envs, 1)
    return BUILDERS[spec.algorithm](spec, env).policy


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize("algorithm", ["ppo", "dqn", "sac", "tqc"])
def test_numpy_sees_what_torch_sees(extractor, algorithm):
    policy = made(looking(extractor, algorithm))
    network = network_of(policy)
    seen = np.random.default_rng(1).normal(size=(40, network.inputs)).astype(np.float32)
    require_equal(policy, network, seen)
    stored = artefacts.mind_of(network.to_arrays())
    assert stored.hash == network.hash
    outputs, values = stored.forward(seen)
    assert all(np.array_equal(network.act(row), output) for row, output in zip(seen, outputs, strict=True))
    assert all(network.value(row)[0] == value for row, value in zip(seen, values, strict=True))


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_every_bar_of_the_window_counts_and_the_account_passes_by(extractor):
    network = network_of(made(looking(extractor)))
    sight, seen = network.actor_sight, np.random.default_rng(2).normal(size=network.inputs).astype(np.float32)
    code = sight(seen)
    assert np.array_equal(code[-5:], seen[-5:])
    for row in range(1, 8):  # a convolution of three taps in two layers reaches back six bars
        changed = seen.copy()
        changed[row * sight.columns] += 1.0
        assert not np.array_equal(sight(changed), code)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_it_learns_with_every_extractor(extractor, tmp_path):
    own = {"n_envs": 32, "n_steps": 32, "gamma": 0.9, "lr": 0.003, "batch_size": 256, "epochs": 4}
    spec = looking(extractor, steps=6_144, ppo=own)
    ready = made_ready(waves(2500), spec)
    outcome = learn(spec, ready, tmp_path, Ear())
    policy = artefacts.policy_of(card_part(spec, ready), outcome.network, name="p", policy_hash="h")
    assert growth(validation_run(policy, ready, spec)) > 1.3


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_trpo_differentiates_twice_through_every_extractor(extractor, tmp_path):
    own = {"n_envs": 8, "n_steps": 16, "batch_size": 128, "value_updates": 1}
    spec = looking(extractor, "trpo", steps=256, trpo=own)
    ear = Ear()
    outcome = learn(spec, made_ready(walk(900), spec), tmp_path, ear)
    assert 0 < ear.metrics[outcome.steps]["kl"] <= 1.5 * spec.trpo.target_kl


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"network": {"extractor": "lstm"}}, "reads a window of bars"),
        ({"network": {"extractor": "lstm"}, "window": 8, "algorithm": "fast_ppo"}, "fast_ppo reads the bare"),
        ({"network": {"extractor": "transformer", "width": 9}, "window": 8}, "multiple of heads"),
        ({"network": {"extractor": "crystal"}}, "'transformer'"),
    ],
)
def test_an_extractor_that_cannot_work_is_refused(values, words):
    with pytest.raises(BadInput, match=words):
        TrainingSpec.parse({**BASE, **values})


def test_weights_that_do_not_fit_are_refused():
    arrays = network_of(made(looking("gru"))).to_arrays()
    with pytest.raises(BadInput, match="do not fit together"):
        artefacts.mind_of({**arrays, "sight.actor.weight_hh_l0": np.zeros((3, 3), np.float32)})
    with pytest.raises(BadInput, match="'crystal'"):
        artefacts.mind_of({**arrays, "sight.actor.kind": np.array("crystal")})
