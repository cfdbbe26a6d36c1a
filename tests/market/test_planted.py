"""Planted edges: what the filter expects is right, uses no future, and nobody trades it better."""

import numpy as np
import pytest

from market.errors import BadInput
from market.optimum import COST, YEAR, best_positions, optimum, share_of_optimum, worth
from market.planted import PLANTED, Planted
from market.synthetic import MARKETS, log_returns

EDGES = ["reversion", "momentum", "hours"]
FULL, HALF = EDGES, [f"{name}-half" for name in EDGES]
BARS = 300_000


def path(name, bars=BARS, seed=3):
    """Return what the filter expects after each bar of a market and the log returns it saw."""
    returns = log_returns(MARKETS[name](bars, seed))
    return PLANTED[name].expected(returns), returns


@pytest.mark.parametrize("name", FULL)
def test_the_best_policy_has_a_sharpe_ratio_of_about_four_and_a_half(name):
    assert optimum(PLANTED[name]).sharpe == pytest.approx(4.5, abs=0.1)


@pytest.mark.parametrize("name", HALF)
def test_the_weaker_markets_have_half_of_that(name):
    assert optimum(PLANTED[name]).sharpe == pytest.approx(2.25, abs=0.1)


@pytest.mark.parametrize("name", EDGES)
def test_expectations_are_neither_too_bold_nor_too_timid(name):
    kind = PLANTED[name].kind
    strong = Planted("strong", kind, {"reversion": 0.33, "momentum": 0.2, "hours": 0.3}[kind])
    streams = [np.random.default_rng([8, k]) for k in range(2)]
    returns = strong.returns(BARS, streams)
    expected, later = strong.expected(returns)[:-1], returns[1:]
    slope = expected @ later / (expected @ expected)
    error = later.std() / np.sqrt(expected @ expected)
    assert error < 0.1  # else the test could not see anything
    assert abs(slope - 1) < 4 * error


@pytest.mark.parametrize("name", PLANTED)
def test_the_future_changes_no_expectation(name):
    expected, returns = path(name, 3_000)
    changed = np.append(returns[:2_000], returns[2_000:] + 0.01)
    assert np.array_equal(PLANTED[name].expected(changed)[:2_000], expected[:2_000])


@pytest.mark.parametrize("name", EDGES)
def test_no_other_threshold_is_worth_more_than_the_best(name):
    expected, _ = path(name, YEAR)
    best = optimum(PLANTED[name])
    gain = np.resize(best.gain, YEAR) if name == "hours" else np.interp(expected, best.expected, best.gain)
    top = worth(best_positions(PLANTED[name], expected), expected)
    for buy, sell in ((0.5, 0.5), (1.5, 1.5), (0.5, 1.5), (1.5, 0.5), (0.0, 0.0)):
        held, positions = 0.0, np.empty(YEAR)
        for at, value in enumerate(gain.tolist()):
            held = 1.0 if value > buy * COST else 0.0 if value < -sell * COST else held
            positions[at] = held
        assert worth(positions, expected) < top


@pytest.mark.parametrize("name", [*FULL, *HALF])
def test_a_path_earns_what_theory_says(name):
    planted = PLANTED[name]
    expected, _ = path(name, YEAR)
    positions = best_positions(planted, expected)
    assert worth(positions, expected) / YEAR == pytest.approx(optimum(planted).per_bar, rel=0.25)
    fills = np.abs(np.diff(positions)).sum() / (YEAR / 1440)
    assert fills == pytest.approx(optimum(planted).fills_per_day, rel=0.1)
    assert share_of_optimum(planted, positions, expected) == 1.0


def test_without_an_edge_there_is_nothing_to_expect():
    expected, returns = path("edgeless", 5_000)
    assert not expected.any()
    assert not best_positions(PLANTED["edgeless"], expected).any()
    assert returns.std() == pytest.approx(0.03 / np.sqrt(1440), rel=0.05)


@pytest.mark.parametrize("name", PLANTED)
def test_more_bars_begin_with_the_same_bars(name):
    short, long = MARKETS[name](500, 9), MARKETS[name](800, 9)
    assert np.array_equal(short.close, long.close[:500])
    assert np.array_equal(short.volume, long.volume[:500])


def test_other_bars_than_minutes_are_refused():
    with pytest.raises(BadInput, match="one-minute bars"):
        MARKETS["momentum"](100, 1, 300_000)
    with pytest.raises(BadInput, match="midnight"):
        MARKETS["momentum"](100, 1, start_ms=1_704_067_260_000)
