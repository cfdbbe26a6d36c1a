import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel import metrics

DAY = metrics.DAY_MS


def curve(seed, bars=500):
    moves = np.random.default_rng(seed).normal(0.0004, 0.01, bars)
    return 10_000.0 * np.cumprod(np.concatenate(([1.0], 1 + moves)))


@pytest.fixture(scope="module")
def empyrical():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import empyrical

        return empyrical


@pytest.mark.parametrize("seed", range(5))
def test_ratios_agree_with_an_independent_library(empyrical, seed):
    equity = curve(seed)
    rets, per_year = metrics.returns(equity), 365.0
    assert metrics.sharpe(rets, per_year) == pytest.approx(empyrical.sharpe_ratio(rets, annualization=365))
    assert metrics.sortino(rets, per_year) == pytest.approx(empyrical.sortino_ratio(rets, annualization=365))
    assert metrics.volatility(rets, per_year) == pytest.approx(
        empyrical.annual_volatility(rets, annualization=365)
    )
    assert metrics.max_drawdown(equity) == pytest.approx(empyrical.max_drawdown(rets))
    assert metrics.annual_return(equity, len(rets) * DAY) == pytest.approx(
        empyrical.annual_return(rets, annualization=365)
    )
    assert metrics.calmar(equity, len(rets) * DAY) == pytest.approx(
        empyrical.calmar_ratio(rets, annualization=365)
    )
    assert metrics.value_at_risk(rets) == pytest.approx(empyrical.value_at_risk(rets, 0.05))
    assert metrics.total_return(equity) == pytest.approx(empyrical.cum_returns_final(rets))


def test_the_conditional_value_at_risk_is_the_mean_of_the_worst():
    rets = np.arange(-10, 91) / 100
    assert metrics.value_at_risk(rets) == pytest.approx(-0.05)
    assert metrics.conditional_value_at_risk(rets) == pytest.approx(
        np.mean([-0.10, -0.09, -0.08, -0.07, -0.06, -0.05])
    )


@pytest.mark.parametrize(
    ("equity", "bars"), [([1, 2, 3], 0), ([3, 2, 3, 2, 1], 2), ([3, 2, 1, 2], 3), ([2, 1, 2, 1, 1, 1], 3)]
)
def test_the_longest_drawdown_counts_bars_below_a_peak(equity, bars):
    assert metrics.longest_drawdown(np.array(equity, dtype=float)) == bars


def test_what_cannot_be_computed_is_none_and_json_can_hold_it():
    flat = metrics.summary(np.full(10, 100.0), np.arange(10) * 60_000, 60_000)
    assert flat["sharpe"] is flat["sortino"] is flat["calmar"] is flat["contest_score"] is None
    assert (flat["total_return"], flat["max_drawdown"], flat["max_drawdown_bars"]) == (0.0, 0.0, 0)
    assert metrics.summary(np.array([]), np.array([]), 60_000)["total_return"] is None


@given(st.integers(0, 1000), st.sampled_from([60_000, 300_000, 3_600_000, DAY]))
def test_a_summary_holds_plain_finite_numbers(seed, interval):
    equity = curve(seed, 100)
    figures = metrics.summary(
        equity, np.arange(len(equity)) * interval, interval, exposure=np.ones(len(equity))
    )
    assert all(
        value is None or (type(value) in (int, float) and math.isfinite(value)) for value in figures.values()
    )


def test_an_account_that_lost_everything_has_figures_too():
    ruined = np.array([100.0, 50.0, 0.0, -10.0, 0.0])
    figures = metrics.summary(ruined, np.arange(5) * DAY, DAY, {"quantity": [], "price": [], "fee": []})
    assert (figures["total_return"], figures["annual_return"], figures["max_drawdown"]) == (-1.0, -1.0, -1.1)
    assert (figures["fills"], figures["win_rate"], figures["fees"]) == (0, None, 0.0)
    assert metrics.summary(np.zeros(5), np.arange(5) * DAY, DAY)["total_return"] is None


def test_sharpe_is_aware_of_the_bar():
    rets = metrics.returns(curve(1))
    by_day = metrics.sharpe(rets, metrics.periods_per_year(DAY))
    assert metrics.sharpe(rets, metrics.periods_per_year(60_000)) == pytest.approx(by_day * math.sqrt(1440))


@pytest.mark.parametrize("share", [0.877, 0.5, 0.25])
def test_missing_bars_change_no_ratio(share):
    rng, bars = np.random.default_rng(1), 100_000
    equity, open_ms = 1e4 * np.exp(np.cumsum(rng.normal(2e-5, 1e-3, bars))), np.arange(bars) * 60_000
    kept = np.sort(rng.choice(bars, int(share * bars), replace=False))
    whole, holed = (metrics.summary(equity[at], open_ms[at], 60_000) for at in (slice(None), kept))
    for name in ("sharpe", "sortino", "volatility", "max_drawdown_days"):
        assert holed[name] == pytest.approx(whole[name], rel=0.1), name


def test_the_longest_drawdown_in_days_counts_the_days_without_bars():
    days = np.array([0, 1, 2, 3, 9, 10, 11, 12, 13])
    equity = np.array([5.0, 4, 5, 4, 5, 4, 4, 4, 4])
    found = metrics.summary(equity, days * DAY, DAY)
    assert (found["max_drawdown_bars"], found["max_drawdown_days"]) == (4, 4.0)
    found = metrics.summary(equity[:4], days[[0, 1, 2, 4]] * DAY, DAY)
    assert (found["max_drawdown_bars"], found["max_drawdown_days"]) == (1, 7.0)


def test_the_contest_score_follows_the_public_scorer_on_daily_utc_closes():
    daily = np.array([100.0, 102.0, 101.0, 104.0, 103.0])
    rets = daily[1:] / daily[:-1] - 1
    downside = math.sqrt(np.mean(np.minimum(rets, 0) ** 2))
    fall = 1 - 101 / 102
    expected = np.mean(rets) * (0.4 / downside + 0.3 / np.std(rets) + 0.3 / fall)
    hours = np.arange(1, 4 * 24 + 1)
    hourly = np.interp(hours, np.arange(5) * 24, daily)
    equity, close_ms = np.concatenate((daily[:1], hourly)), np.concatenate(([0], hours)) * 3_600_000
    assert metrics.contest(equity, close_ms)["contest_score"] == pytest.approx(expected)


def test_a_midnight_close_belongs_to_the_day_it_ends():
    close_ms = np.array([0, DAY // 2, DAY, DAY + 1, 2 * DAY])
    assert metrics.daily_equity(np.arange(5.0), close_ms).tolist() == [0.0, 2.0, 4.0]


def fills(*rows):
    return dict(zip(("quantity", "price", "fee"), map(np.array, zip(*rows, strict=True)), strict=True))


def test_a_round_trip_pays_both_fees():
    profits = metrics.realised(fills((2.0, 100.0, 0.2), (-2.0, 110.0, 0.22)))
    assert profits == pytest.approx([20 - 0.42])


def test_partial_exits_and_turns_share_their_fees():
    profits = metrics.realised(
        fills((2.0, 100.0, 0.2), (-1.0, 110.0, 0.1), (-3.0, 90.0, 0.3), (2.0, 80.0, 0.16))
    )
    assert profits == pytest.approx([10 - 0.1 - 0.1, -10 - 0.1 - 0.1, 20 - 0.2 - 0.16])


@given(st.lists(st.tuples(st.integers(-5, 5).filter(bool), st.integers(50, 150)), min_size=1, max_size=12))
def test_realised_profits_are_what_the_cash_says_once_flat(trades):
    left = -sum(quantity for quantity, _ in trades)
    rows = [(float(q), float(p), 0.01 * abs(q) * p) for q, p in [*trades, *([(left, 100)] if left else [])]]
    cash = -sum(quantity * price + fee for quantity, price, fee in rows)
    assert float(np.sum(metrics.realised(fills(*rows)))) == pytest.approx(cash, abs=1e-6)


def test_trade_figures_come_from_the_fills():
    made = fills((1.0, 100.0, 0.1), (-1.0, 120.0, 0.1), (1.0, 100.0, 0.1), (-1.0, 90.0, 0.1))
    equity = np.array([1000.0, 1000.0, 1020.0, 1010.0])
    figures = metrics.summary(equity, np.arange(4) * DAY // 3, DAY // 3, made)
    assert (figures["fills"], figures["closed_trades"], figures["win_rate"]) == (4, 2, 0.5)
    assert figures["profit_factor"] == pytest.approx(19.8 / 10.2)
    assert figures["fees"] == pytest.approx(0.4)
    assert figures["turnover_per_day"] == pytest.approx(410 / np.mean(equity))


@given(st.lists(st.tuples(st.floats(-0.5, 0.9), st.floats(-1, 1)), max_size=8))
def test_returns_without_transfers_are_those_of_the_money_at_work(steps):
    """Money comes before a stretch's return is made, and goes after it."""
    equity, capital, chained = [100.0], [100.0], [100.0]
    for rate, move in steps:
        came = 100 * max(move, 0)
        left = (equity[-1] + came) * (1 + rate)
        went = left * max(-move, 0) / 2
        equity.append(left - went)
        capital.append(capital[-1] + came - went)
        chained.append(chained[-1] * (1 + rate))
    assert metrics.without_transfers(equity, capital) == pytest.approx(chained, rel=1e-6, abs=1e-9)


def test_a_curve_that_nothing_was_moved_in_is_left_as_it_is():
    equity = np.array([3.0, 5.0, 0.0, 0.0])
    assert metrics.without_transfers(equity, np.full(4, 3.0)) is equity
    grown = metrics.without_transfers(np.array([0.0, 5.0, 10.0]), np.array([0.0, 5.0, 5.0]))
    assert grown.tolist() == [1, 1, 2]  # from 1 on where there was nothing
