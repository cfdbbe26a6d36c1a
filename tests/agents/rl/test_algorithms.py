"""Every algorithm of the register: it learns, it resumes, and what it leaves behind trades as it thinks."""

import numpy as np
import pytest
import sb3_contrib
import stable_baselines3

from agents import artefacts
from agents.backtest import simulate
from agents.decide import Decider
from agents.envs.batched import packed
from agents.evaluation.data import prepared, split_for
from agents.evaluation.score import validation_run
from agents.policies import baseline
from agents.rl.algorithms import BUILDERS
from agents.rl.q_table import QTable
from agents.rl.reinforce import Reinforce
from agents.rl.training import Stopped, card_part, learn
from agents.rl.vec_env import TradingVecEnv
from agents.spec import ALGORITHMS, KNOWN
from agents.spec.effect import TABLES
from market.features import compute
from tests.agents.markets import changed_after, walk, waves
from tests.agents.rl.tasks import TASKS, spec_for
from tests.agents.rl.test_learning import Ear

LIBRARY = {
    "ppo": stable_baselines3.PPO, "fast_ppo": stable_baselines3.PPO, "a2c": stable_baselines3.A2C,
    "dqn": stable_baselines3.DQN, "sac": stable_baselines3.SAC, "td3": stable_baselines3.TD3,
    "maskable_ppo": sb3_contrib.MaskablePPO, "trpo": sb3_contrib.TRPO, "qr_dqn": sb3_contrib.QRDQN,
    "tqc": sb3_contrib.TQC, "reinforce": Reinforce, "q_table": QTable,
}  # fmt: skip

MEMORY = {"dqn", "qr_dqn", "sac", "td3", "tqc", "q_table"}


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
    asked = 24 if algorithm in MEMORY else 150  # who learns from a memory is asked between updates only
    with pytest.raises(KeyboardInterrupt):
        learn(spec, ready, tmp_path / "killed", Ear(kill_at=asked))
    np.random.rand(7)  # whatever happened to the generator in between does not matter
    with pytest.raises(Stopped):
        learn(spec, ready, tmp_path / "killed", Ear(stop_at=8))
    resumed = learn(spec, ready, tmp_path / "killed", Ear())
    assert resumed.network.hash == whole.network.hash
    assert resumed.metrics == whole.metrics


@pytest.mark.parametrize(
    "algorithm", [name for name in ALGORITHMS if name not in ("recurrent_ppo", "team_ppo")]
)
def test_its_archive_opens_in_the_library_and_acts_as_the_stored_network(algorithm, tmp_path):
    network = {"network": {"net_arch": [24, 16], "activation": "relu"}}
    spec = small(algorithm, **(network if algorithm not in TABLES else {}))
    ready = made_ready(walk(1200), spec)
    outcome = learn(spec, ready, tmp_path, Ear())
    (tmp_path / "policy.zip").write_bytes(outcome.policy_zip)
    theirs = LIBRARY[algorithm].load(tmp_path / "policy.zip", device="cpu")
    network = artefacts.mind_of(outcome.network.to_arrays())
    assert network.hash == outcome.network.hash
    policy = artefacts.policy_of(card_part(spec, ready), network, name="p", policy_hash="h")
    seen = np.random.default_rng(0).normal(size=(40, network.inputs)).astype(np.float32)
    expected, _ = theirs.predict(seen, deterministic=True)
    found = [policy.opine(row, 0.5).action for row in seen]
    assert np.allclose(
        found, np.clip(expected.reshape(-1), -1 if network.is_continuous else 0, None), atol=1e-5
    )


@pytest.mark.parametrize("algorithm", ["qr_dqn", "tqc", "td3", "q_table"])
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
    section, is_memory = KNOWN[algorithm].sections[0], algorithm in MEMORY
    own |= {"n_steps": 4 if is_memory else 32} if "n_steps" in TASKS[algorithm][1] else {}
    own |= {"batch_size": 64} if "batch_size" in TASKS[algorithm][1] else {}
    if "learning_starts" in TASKS[algorithm][1]:
        own |= {"learning_starts": 200, "buffer_size": 1000, "gradient_steps": 1}
    changes = {"checkpoint_every": 512, "validate_every": 600, section: own, **changes}
    return spec_for(algorithm, steps=1024 if is_memory else 2048, **changes)


def test_a_masked_policy_never_takes_an_illegal_action(tmp_path):
    spec = small("maskable_ppo")
    ready = made_ready(walk(1200), spec)
    network = learn(spec, ready, tmp_path, Ear()).network
    policy = artefacts.policy_of(card_part(spec, ready), network, name="p", policy_hash="h")
    for row in np.random.default_rng(0).normal(size=(50, network.inputs)).astype(np.float32):
        for draw in (0.001, 0.5, 0.999):
            assert policy.opine(row, 0.0, draw).name != "SELL"
            assert policy.opine(row, 1.0, draw).name != "BUY"
        assert policy.opine(row, 0.0).probabilities[2] == 0.0


def test_masks_follow_the_accounts():
    spec = small("maskable_ppo")
    ready = made_ready(walk(1200), spec)
    env = TradingVecEnv(packed(*ready.train), spec.env_settings(), 3)
    env.reset()
    env.step(np.array([1, 0, 2]))
    assert env.action_masks().tolist() == [[True, False, True], [True, True, False], [True, True, False]]
    assert [mask.tolist() for mask in env.env_method("action_masks", indices=0)] == [[True, False, True]]


def test_later_bars_change_no_bin_of_a_table(tmp_path):
    spec = small("q_table", q_table={"n_envs": 8, "bins": 4})
    candles = walk(1200)
    tables = []
    for market in (candles, changed_after(candles, made_ready(candles, spec).split.train_to - 1)):
        tables.append(learn(spec, made_ready(market, spec), tmp_path / str(len(tables)), Ear()).network)
    assert np.array_equal(tables[0].edges, tables[1].edges)
    assert np.array_equal(tables[0].values, tables[1].values)


def test_a_run_of_reinforce_reports_logits_and_probabilities(tmp_path):
    spec = small("reinforce")
    ear = Ear()
    learn(spec, made_ready(walk(1200), spec), tmp_path, ear)
    last = ear.metrics[2048]
    chances = [last[f"probability_{name}"] for name in ("hold", "buy", "sell")]
    assert sum(chances) == pytest.approx(1.0, abs=1e-5)
    assert {"logit_hold", "logit_buy", "logit_sell"} <= set(last)
