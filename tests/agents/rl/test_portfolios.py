"""Several pairs, one account: every algorithm that can weigh them learns, resumes and trades as it thinks."""

import numpy as np
import pytest
import sb3_contrib
import stable_baselines3

from agents import artefacts
from agents.backtest.basket import Stretch, simulate_basket
from agents.policies.weights import EqualWeights
from agents.rl.reinforce import Reinforce
from agents.rl.training import card_part, learn
from agents.spec import KNOWN, PRESETS, TrainingSpec
from market import features
from market.optimum import COST
from market.planted import DAY, Planted
from market.synthetic import log_returns, planted_market
from tests.agents.markets import changed_after, walk
from tests.agents.portfolios import SMALL, made_ready, spec_of
from tests.agents.rl.tasks import TASKS
from tests.agents.rl.test_learning import Ear

WEIGHING = [name for name, known in KNOWN.items() if "weights" in known.actions]
LIBRARY = {
    "ppo": stable_baselines3.PPO, "fast_ppo": stable_baselines3.PPO, "a2c": stable_baselines3.A2C,
    "sac": stable_baselines3.SAC, "td3": stable_baselines3.TD3, "trpo": sb3_contrib.TRPO,
    "tqc": sb3_contrib.TQC, "reinforce": Reinforce,
}  # fmt: skip
MEMORY = {"sac", "td3", "tqc"}
MARKETS = (Planted("hours", "hours", 0.08), Planted("momentum", "momentum", 0.1))


def small(algorithm, **changes):
    """Return a short run with a few checkpoints and judgements."""
    own = {"n_envs": 8, "lr": 0.003}
    own |= {"n_steps": 32} if "n_steps" in TASKS[algorithm][1] else {}
    own |= {"batch_size": 64} if "batch_size" in TASKS[algorithm][1] else {}
    if algorithm in MEMORY:
        own |= {"learning_starts": 200, "buffer_size": 1000, "gradient_steps": 1}
    often = {"checkpoint_every": 512, "validate_every": 600}
    steps = 1024 if algorithm in MEMORY else 2048
    return spec_of(
        algorithm=algorithm, steps=steps, **{KNOWN[algorithm].sections[0]: own}, **often, **changes
    )


@pytest.fixture(scope="module")
def walks():
    return walk(1200, seed=1), walk(1200, seed=2)


@pytest.mark.parametrize("algorithm", WEIGHING)
def test_a_killed_run_resumed_ends_with_the_weights_of_an_uninterrupted_one(algorithm, walks, tmp_path):
    spec = small(algorithm)
    ready = made_ready(walks, spec)
    whole = learn(spec, ready, tmp_path / "whole", Ear())
    with pytest.raises(KeyboardInterrupt):
        learn(spec, ready, tmp_path / "killed", Ear(kill_at=24 if algorithm in MEMORY else 150))
    np.random.rand(7)  # whatever happened to the generator in between does not matter
    resumed = learn(spec, ready, tmp_path / "killed", Ear())
    assert resumed.network.hash == whole.network.hash
    assert resumed.metrics == whole.metrics
    require_equal_thought(spec, ready, whole, tmp_path)


def require_equal_thought(spec, ready, outcome, folder):
    """The archive opens in the library and weighs as the stored network does."""
    (folder / "policy.zip").write_bytes(outcome.policy_zip)
    theirs = LIBRARY[spec.algorithm].load(folder / "policy.zip", device="cpu")
    network = artefacts.mind_of(outcome.network.to_arrays())
    policy = artefacts.policy_of(card_part(spec, ready), network, name="p", policy_hash="h")
    seen = np.random.default_rng(0).normal(size=(40, network.inputs)).astype(np.float32)
    expected, _ = theirs.predict(seen, deterministic=True)
    found = [policy.weigh(row) for row in seen]
    assert np.allclose([one.wishes for one in found], np.clip(expected, -1, 1), atol=1e-5)
    assert all(min(one.weights) >= 0 and sum(one.weights) <= 1 + 1e-9 for one in found)


@pytest.mark.parametrize("extractor", ["tcn", "gru"])
def test_what_reads_a_window_reads_those_of_all_pairs(extractor, walks, tmp_path):
    spec = small("ppo", window=4, network={"net_arch": [8], "extractor": extractor, "width": 4})
    ready = made_ready(walks, spec)
    outcome = learn(spec, ready, tmp_path, Ear())
    require_equal_thought(spec, ready, outcome, tmp_path)


def test_the_scaler_has_seen_the_training_part_of_every_pair_and_no_more(walks):
    spec = small("ppo")
    ready = made_ready(walks, spec)
    end, columns = ready.split.train_to, len(spec.feature_set())
    later = made_ready([changed_after(one, end - 1) for one in walks], spec)
    assert later.scaler.hash == ready.scaler.hash
    first = made_ready((changed_after(walks[0], 300), walks[1]), spec)
    assert (first.scaler.centre[columns:] == ready.scaler.centre[columns:]).all()
    assert (first.scaler.centre[:columns] != ready.scaler.centre[:columns]).any()


def test_later_bars_change_no_weight_that_was_wanted_before(walks):
    spec = small("ppo")
    ready, later = made_ready(walks, spec), made_ready([changed_after(one, 899) for one in walks], spec)
    policy = EqualWeights(*equal_parts(spec, ready))
    asked = [
        simulate_basket(Stretch(one.all_candles, one.rows, 0), policy, spec.env_settings())
        for one in (ready, later)
    ]
    shared = 899 - policy.observation.first_row
    assert (asked[0].held[:shared] == asked[1].held[:shared]).all()
    assert (asked[0].equity[:shared] == asked[1].equity[:shared]).all()


def equal_parts(spec, ready):
    card = card_part(spec, ready)
    made = artefacts.ActionSpec.from_dict(card["action"])
    needs = artefacts.ObservationNeeds(
        spec.feature_set(), ready.scaler, spec.window, spec.bars_scale, len(made.pairs)
    )
    return needs, made, spec.decision_every


def predicted(run, markets, paths, cost=COST):
    """Return what the markets' filters expect a run's weights to earn, costs paid, in log return."""
    first = len(paths[0]) - len(run.equity)
    ahead = np.stack(
        [one.expected(log_returns(path)) for one, path in zip(markets, paths, strict=True)], axis=1
    )[first:-1]
    traded = sum(abs(fill.quantity) * fill.price for _, fill in run.fills) / float(np.mean(run.equity))
    return float((run.held[1:] * ahead).sum()) - cost * traded


def test_an_agent_learns_when_to_hold_which_of_two_planted_pairs(tmp_path):
    chosen = {
        **PRESETS["default-1m"], "pairs": SMALL["pairs"], "algorithm": "fast_ppo", "steps": 100_000,
        "seed": 1, "averaging": 0.5, "test_share": 0, "action": {"band": 0.05},
        "validate_every": 1_000_000_000,
    }  # fmt: skip
    spec = TrainingSpec.parse(chosen)
    ready = made_ready([planted_market(one, 90 * DAY, 1 + at) for at, one in enumerate(MARKETS)], spec)
    outcome = learn(spec, ready, tmp_path, Ear())
    policy = artefacts.policy_of(card_part(spec, ready), outcome.network, name="two", policy_hash="")
    paths = [planted_market(one, 40 * DAY, 900_000 + at) for at, one in enumerate(MARKETS)]
    rows = np.concatenate([features.compute(one, spec.feature_set()) for one in paths], axis=1)
    stretch = Stretch(tuple(paths), rows, 0)
    run = simulate_basket(stretch, policy, spec.env_settings())
    equal = simulate_basket(stretch, EqualWeights(*equal_parts(spec, ready)), spec.env_settings())
    assert predicted(run, MARKETS, paths) > max(0.0, predicted(equal, MARKETS, paths)) + 0.10
    assert run.mean_weights()["CASH"] < 0.9
