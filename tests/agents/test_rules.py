"""The fixed rules: each does what its name says."""

import numpy as np
import pytest

from agents.policies import BASELINES, baseline
from market.errors import BadInput

PORTFOLIO = np.zeros(5)


def wish(name, values, held, **params):
    """Return (name of the opinion, target) of a rule that sees `values`."""
    observation = np.concatenate((values, PORTFOLIO)).astype(np.float32)
    made = baseline(name, **params).opine(observation, held)
    return made.name, made.target


def test_cash_sells_what_it_holds_and_never_buys():
    assert wish("cash", [0.1], 0.0) == ("HOLD", None)
    assert wish("cash", [0.1], 0.8) == ("SELL", 0.0)


def test_buy_and_hold_buys_once():
    assert wish("buy_and_hold", [0.1], 0.0) == ("BUY", 1.0)
    assert wish("buy_and_hold", [0.1], 0.95) == ("HOLD", None)


def test_crossover_is_in_while_the_fast_average_is_above_the_slow_one():
    above, below = [0.01, 0.02], [0.02, 0.01]  # distance of the close from the fast, from the slow average
    assert wish("sma_crossover", above, 0.0) == ("BUY", 1.0)
    assert wish("sma_crossover", above, 1.0) == ("HOLD", None)
    assert wish("sma_crossover", below, 1.0) == ("SELL", 0.0)
    assert wish("sma_crossover", below, 0.0) == ("HOLD", None)


def test_mean_reversion_buys_far_below_the_mean_and_sells_once_back():
    assert wish("mean_reversion", [-2.5], 0.0) == ("BUY", 1.0)
    assert wish("mean_reversion", [-1.0], 0.0) == ("HOLD", None)
    assert wish("mean_reversion", [-1.0], 1.0) == ("HOLD", None)
    assert wish("mean_reversion", [0.1], 1.0) == ("SELL", 0.0)


def test_momentum_follows_the_sign_of_the_return():
    assert wish("momentum", [0.01], 0.0) == ("BUY", 1.0)
    assert wish("momentum", [-0.01], 1.0) == ("SELL", 0.0)
    assert wish("momentum", [0.01], 0.0, threshold=0.02) == ("HOLD", None)


def test_conservative_takes_a_small_position_in_a_calm_uptrend_only():
    assert wish("conservative", [0.02, -0.1], 0.0, share=0.2) == ("BUY", 0.2)
    assert wish("conservative", [0.02, 0.4], 0.0, share=0.2) == ("HOLD", None)
    assert wish("conservative", [0.0, -0.1], 0.2, share=0.2) == ("HOLD", None)
    assert wish("conservative", [-0.02, -0.1], 0.2, share=0.2) == ("SELL", 0.0)


def test_dust_is_not_a_position():
    assert wish("buy_and_hold", [0.1], 0.001) == ("BUY", 1.0)
    assert wish("mean_reversion", [0.1], 0.0001) == ("HOLD", None)


@pytest.mark.parametrize("name", BASELINES)
def test_every_rule_has_a_description_and_an_identity_that_parameters_change(name):
    rule = BASELINES[name]
    assert rule.about
    assert baseline(name).policy_hash == baseline(name).policy_hash
    for key, bound in rule.params.items():
        if name != "sma_crossover" or key == "slow":
            assert baseline(name, **{key: bound.high}).policy_hash != baseline(name).policy_hash


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("astrology", {}, "choose one of cash"),
        ("momentum", {"speed": 1}, "it has: period, threshold"),
        ("cash", {"speed": 1}, "it has: none"),
        ("momentum", {"period": 1.5}, "a whole number from 2"),
        ("momentum", {"threshold": float("nan")}, "a number from"),
        ("sma_crossover", {"fast": 200, "slow": 50}, "fast must be smaller"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(name, params, words):
    with pytest.raises(BadInput, match=words):
        baseline(name, **params)
