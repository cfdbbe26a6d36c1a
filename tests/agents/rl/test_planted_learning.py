"""The learner finds an edge that is there, and its share of the optimum is measured rightly."""

import numpy as np
import pytest

from agents.artefacts import policy_of
from agents.evaluation import planted
from agents.evaluation.data import prepared, split_for
from agents.policies import baseline
from agents.rl.training import card_part, learn
from agents.spec import PRESETS, TrainingSpec
from market.features import compute
from market.planted import PLANTED
from market.synthetic import planted_market
from tests.agents.rl.test_learning import Ear

EASY = PLANTED["hours-easy"]
DAYS = 1440
COSTS = TrainingSpec().env_settings()


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The shipped preset after a short training on four months of the easy market."""
    changed = {
        "algorithm": "fast_ppo",
        "steps": 160_000,
        "averaging": 0.5,
        "keep": "last",
        "seed": 1,
        "test_share": 0,
    }
    spec = TrainingSpec.parse({**PRESETS["default-1m"], **changed})
    candles = planted_market(EASY, 120 * DAYS, 1)
    ready = prepared(candles, compute(candles, spec.feature_set()), split_for(len(candles), spec), spec)
    outcome = learn(spec, ready, tmp_path_factory.mktemp("planted"), Ear())
    return policy_of(card_part(spec, ready), outcome.network, name="easy", policy_hash="")


def test_the_preset_learns_most_of_what_can_be_learned(learned):
    found = planted.score(learned, EASY, COSTS, bars=60 * DAYS)
    assert found.share_of_optimum > 0.7


def test_cash_is_worth_nothing_and_holding_less_than_the_optimum():
    cash = planted.score(baseline("cash"), PLANTED["momentum"], COSTS, bars=20 * DAYS)
    assert (cash.share_of_optimum, cash.fills_per_day) == (0.0, 0.0)
    held = planted.score(baseline("buy_and_hold"), EASY, COSTS, bars=20 * DAYS)
    assert held.share_of_optimum < 0.2
    assert held.best_bp_per_day > 100


def test_trading_at_random_loses_what_it_costs():
    found = planted.score(baseline("random", turnover=0.05), PLANTED["edgeless"], COSTS, bars=20 * DAYS)
    assert found.share_of_optimum is None
    assert found.bp_per_day == pytest.approx(-15 * found.fills_per_day, rel=0.02)


def test_the_mean_of_weights_is_worn_only_for_a_while():
    torch = pytest.importorskip("torch")
    from agents.rl.averaging import RunningMean

    layer, mean = torch.nn.Linear(2, 1, bias=False), RunningMean(0.9)
    seen = [np.array([[k, -k]], np.float32) for k in range(20)]
    for weights in seen:
        mean.see({"weight": torch.from_numpy(weights)})
    own = layer.weight.detach().clone()
    with mean.worn_by(layer):
        inside = layer.weight.detach().numpy().copy()
    assert torch.equal(layer.weight, own)
    assert 0 < inside[0, 0] < 19
    again = RunningMean(0.9)
    again.set_state(mean.state())
    with again.worn_by(layer):
        assert np.array_equal(layer.weight.detach().numpy(), inside)
