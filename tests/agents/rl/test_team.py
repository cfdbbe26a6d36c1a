"""A team learns, its weights go to who has the edge, and what it leaves behind trades as it was trained."""

import numpy as np
import pytest

from agents import artefacts
from agents.backtest import BacktestSettings, report
from agents.evaluation import planted
from agents.evaluation.data import prepared, split_for
from agents.evaluation.score import validation_run
from agents.policies.team import TeamMind, TeamPolicy
from agents.rl.algorithms import BUILDERS
from agents.rl.markets import training_market
from agents.rl.networks import network_of, require_equal
from agents.rl.team import TeamPPO
from agents.rl.training import card_part, learn
from agents.spec import PRESETS, TrainingSpec, over_preset
from market.errors import BadInput
from market.features import compute
from market.planted import Planted
from market.synthetic import planted_market
from tests.agents.markets import changed_after, walk, waves
from tests.agents.rl.tasks import spec_for
from tests.agents.rl.test_learning import Ear

DAYS = 1440
TREND = ("sma_120", "sma_240", "sma_480", "sma_960", "log_return_240", "log_return_720")
SIGHT = {"momentum": ("day_sin",), "mean_reversion": ("day_cos",), "market_making": ("day_sin", "day_cos")}
SHORT = {
    "features": "swing",
    "scaler": "standard",
    "algorithm": "team_ppo",
    "steps": 60_000,
    "episode_bars": 2880,
    "decision_every": 15,
    "action": {"kind": "levels"},
    "reward": {"scale": 1000},
    "network": {"net_arch": [32]},
    "ppo": {"lr": 0.002, "n_steps": 64, "batch_size": 1024, "epochs": 6},
    "averaging": 0.5,
    "keep": "last",
    "seed": 1,
}


def made_ready(candles, spec):
    return prepared(candles, compute(candles, spec.feature_set()), split_for(len(candles), spec), spec)


def learned(spec, ready, folder, ear=None):
    outcome = learn(spec, ready, folder, ear or Ear())
    return artefacts.policy_of(card_part(spec, ready), outcome.network, name="team", policy_hash="h"), outcome


@pytest.mark.parametrize(
    ("kind", "strength", "expert", "steps"),
    [("momentum", 0.1, "momentum", 60_000), ("reversion", 0.34, "mean_reversion", 40_000)],
)
def test_weights_move_to_the_specialist_that_sees_the_edge(kind, strength, expert, steps, tmp_path):
    team = {"account": "unseen", "features": {**SIGHT, expert: TREND}}
    spec, market = (
        TrainingSpec.parse({**SHORT, "team": team, "steps": steps}),
        Planted("easy", kind, strength),
    )
    ready, ear = made_ready(planted_market(market, 60 * DAYS, 1), spec), Ear()
    policy, outcome = learned(spec, ready, tmp_path, ear)
    found = ear.metrics[outcome.steps]
    weights = {name: found[f"weight_{name}"] for name in spec.team.specialists}
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights[expert] > 0.6
    if kind == "momentum":  # the other edge is too short for its costs to be learned in seconds
        score = planted.score(policy, market, spec.env_settings(), bars=30 * DAYS)
        assert score.share_of_optimum > 0.5


def small(**changes):
    own = {"ppo": {"n_envs": 8, "n_steps": 32, "batch_size": 64, "epochs": 2, "lr": 0.003}}
    return spec_for("team_ppo", steps=1024, **{**own, **changes})


KINDS = [
    {"networks": "own"},
    {"networks": "shared"},
    {"allocator": "fixed", "weights": {"momentum": 2.0, "market_making": 0.0}},
    {"specialists": ["mean_reversion", "momentum"], "networks": "shared", "allocator": "fixed"},
]


@pytest.mark.parametrize("team", KINDS)
def test_what_is_stored_thinks_as_what_was_trained(team, tmp_path):
    spec = small(team=team, window=2)
    ready = made_ready(walk(1200), spec)
    ear = Ear()
    policy, outcome = learned(spec, ready, tmp_path, ear)
    for state in ear.views[outcome.steps]["probes"]:
        assert state["labels"] == list(spec.team.specialists)
        assert sum(state["outputs"]) == pytest.approx(1.0, abs=1e-5)
    assert set(outcome.metrics) >= {f"weight_{name}" for name in spec.team.specialists}
    network = artefacts.mind_of(outcome.network.to_arrays())
    assert network.hash == outcome.network.hash
    (tmp_path / "policy.zip").write_bytes(outcome.policy_zip)
    theirs = TeamPPO.load(tmp_path / "policy.zip")
    seen = np.random.default_rng(0).normal(size=(40, network.inputs)).astype(np.float32)
    require_equal(theirs.policy, network, seen)
    proposals, _ = theirs.predict(seen, deterministic=True)
    levels = np.array(policy.spoken.levels)
    for row, expected in zip(seen, levels[proposals], strict=True):
        votes = policy.opine(row, 0.37).tally.votes
        assert [vote.target for vote in votes] == expected.tolist()
        assert sum(vote.weight for vote in votes) == pytest.approx(1.0)


def test_a_specialist_thinks_alike_whatever_it_does_not_see(tmp_path):
    spec = small(team={"account": "unseen", "features": {"momentum": ["log_return_1"]}})
    ready = made_ready(walk(1200), spec)
    policy, outcome = learned(spec, ready, tmp_path)
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, outcome.network.inputs)).astype(np.float32)
    two[0] = one[0]
    spoken = [policy.network.read(policy.network.act(row))[0][0] for row in (one, two)]
    assert spoken[0] == spoken[1]
    assert policy.network.masks[0].sum() == 1


def test_later_bars_change_nothing_that_was_learned(tmp_path):
    spec, candles, hashes = small(), walk(1200), []
    for market in (candles, changed_after(candles, made_ready(candles, spec).split.train_to - 1)):
        hashes.append(learned(spec, made_ready(market, spec), tmp_path / str(len(hashes)))[1].network.hash)
    assert hashes[0] == hashes[1]


def test_a_backtest_says_what_each_specialist_contributed(tmp_path):
    spec = small(team={}, trading={"stop_loss": 0.004, "step": 0.01, "tick": 0.01})
    ready = made_ready(waves(1500), spec)
    policy, _ = learned(spec, ready, tmp_path)
    run = validation_run(policy, ready, spec)
    assert len(run.fills) > 10
    assert {fill.reason for _, fill in run.fills} > {0}
    assert sum(run.contributions.values()) == pytest.approx(run.equity[-1] - run.equity[0], rel=1e-9)
    assert sum(run.weights.values()) == pytest.approx(1.0)
    figures = report(run, BacktestSettings(trading=spec.trading), []).metrics
    shares = [figures[f"contribution_{name}"] for name in spec.team.specialists]
    assert sum(shares) == pytest.approx(figures["total_return"], rel=1e-9)


def test_the_environment_pays_what_the_spec_says():
    spec = small(team={"rewards": {"momentum": {"sortino": 2.0}}, "quote_size": 0.3})
    env = training_market(spec, made_ready(walk(1200), spec), None)
    assert env.batch.team.terms[0].sortino == 2.0
    assert env.batch.team.desks == (False, False, True)
    assert env.batch.team.quoting.size == 0.3
    assert isinstance(BUILDERS["team_ppo"](spec, env), TeamPPO)
    network = network_of(BUILDERS["team_ppo"](spec, env).policy)
    assert isinstance(network, TeamMind)
    assert network.read(network.act(np.zeros(network.inputs, np.float32)))[1] == pytest.approx(
        [1 / 3] * 3, abs=0.01
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"action": {"kind": "hold_buy_sell"}}, "set action.kind to levels"),
        ({"trading": {"market": "futures"}}, "leave trading.market at spot"),
        ({"reward": {"normalise": "returns"}}, "leave reward.normalise at none"),
        ({"network": {"extractor": "gru"}, "window": 4}, "team_ppo reads the bare observation"),
        ({"team": {"specialists": ["momentum"]}}, "team.specialists"),
        ({"team": {"specialists": ["momentum", "momentum"]}}, "must not name one twice"),
        ({"team": {"specialists": ["momentum", "carry"]}}, "team.specialists"),
        ({"team": {"weights": {"momentum": 1.0}}}, "finds its own weights"),
        ({"team": {"allocator": "fixed", "weights": dict.fromkeys(SIGHT, 0.0)}}, "a weight above 0"),
        ({"team": {"features": {"momentum": ["nonsense"]}}}, "'nonsense' is no feature of this run"),
        ({"team": {"features": {"momentum": []}}}, "would see no feature at all"),
        ({"team": {"rewards": {"momentum": {"luck": 1.0}}}}, "there is no reward term 'luck'"),
        ({"algorithm": "ppo", "team": {"networks": "shared"}}, "ppo reads no team settings"),
    ],
)
def test_a_team_that_cannot_be_is_refused_with_a_sentence(changes, said):
    with pytest.raises(BadInput) as error:
        TrainingSpec.parse({"algorithm": "team_ppo", "action": {"kind": "levels"}, **changes})
    assert said in error.value.message


def test_the_preset_is_a_team_and_another_algorithm_takes_it_without():
    spec = TrainingSpec.parse(over_preset("team-1h", {}))
    assert (spec.algorithm, spec.interval) == ("team_ppo", "1h")
    assert spec.team.columns(spec.feature_set())
    assert TrainingSpec.parse(PRESETS["team-1h"]).as_dict()["team"]["allocator"] == "learned"
    alone = TrainingSpec.parse(over_preset("team-1h", {"algorithm": "ppo"}))
    assert "team" not in alone.as_dict()


def test_damaged_files_of_a_team_are_refused(tmp_path):
    spec = small()
    ready = made_ready(walk(1200), spec)
    arrays = learned(spec, ready, tmp_path)[1].network.to_arrays()
    without = {name: array for name, array in arrays.items() if not name.startswith("team.1.")}
    cut = {**arrays, "team.masks": arrays["team.masks"][:, :-1]}
    for damaged in (without, cut, {"team.names": arrays["team.names"]}):
        with pytest.raises(BadInput, match="train it again"):
            artefacts.mind_of(damaged)


def test_one_draw_gives_every_specialist_its_own_chance(tmp_path):
    spec = small()
    ready = made_ready(walk(1200), spec)
    policy: TeamPolicy = learned(spec, ready, tmp_path)[0]
    row = np.random.default_rng(1).normal(size=policy.network.inputs).astype(np.float32)
    spoken, _ = policy.network.read(policy.network.act(row))
    draws = (np.arange(4000) + 0.5) / 4000
    targets = np.array(
        [[vote.target for vote in policy.opine(row, 0.37, draw).tally.votes] for draw in draws]
    )
    for m, probabilities in enumerate(spoken):
        shares = [(targets[:, m] == level).mean() for level in policy.spoken.levels]
        assert shares == pytest.approx(probabilities, abs=0.02)
    assert policy.opine(row, 0.37, 0.3) == policy.opine(row, 0.37, 0.3)
