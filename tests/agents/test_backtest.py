"""Backtests: no look-ahead, the kernel's fills, honest words."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.backtest import BacktestSettings, Limits, report, simulate
from agents.backtest.report import POINTS, buy_and_hold
from agents.decide import Decider, DecisionSettings
from agents.envs.settings import EnvSettings
from agents.envs.single import TradingEnv
from agents.policies import BASELINES, baseline
from agents.spaces import ActionSpec
from agents.spec import Trading
from market.errors import BadInput
from market.features import compute
from market.kernel.portfolio import equity
from tests.agents.markets import changed_after, network_policy, stored, walk, waves

FREE = EnvSettings(fee_rate=0.0, slippage=0.0, fee_step=0.0, min_notional=0.0)


def ran(policy, candles, env=None, *, first=0, limits=None, watch=None, **decision):
    rows = compute(candles, policy.observation.feature_set)
    decider = Decider(policy, DecisionSettings.from_dict(decision))
    return simulate(candles, rows, decider, env or EnvSettings(), first=first, limits=limits, watch=watch)


def decisions(policy, candles, **given):
    seen = []
    ran(
        policy,
        candles,
        watch=lambda row, made: seen.append((row, made.observation_hash, made.target)),
        **given,
    )
    return seen


@given(st.integers(0, 50), st.integers(150, 250), st.booleans())
@settings(max_examples=15, deadline=None)
def test_decisions_up_to_a_bar_do_not_depend_on_later_bars(seed, row, is_sampled):
    candles = walk(300, seed)
    policy = network_policy(candles, seed=seed)
    before = decisions(policy, candles, sample=is_sampled)
    after = decisions(policy, changed_after(candles, row), sample=is_sampled)
    made = row - policy.observation.first_row + 1
    assert before[:made] == after[:made]
    assert before[made:] != after[made:]


@pytest.mark.parametrize("name", BASELINES)
def test_fills_happen_at_the_open_after_the_decision_at_the_stated_cost(name):
    candles, env = walk(900, seed=3, volatility=0.004), EnvSettings(fee_rate=0.002, slippage=0.001)
    wishes = {}

    def note(row, made):
        wishes[int(candles.open_ms[row + 1])] = made.target

    run = ran(baseline(name), candles, env, watch=note)
    opens = dict(zip(candles.open_ms.tolist(), candles.open.tolist(), strict=True))
    for at, fill in run.fills:
        side = 1 if fill.quantity > 0 else -1
        assert wishes[at] is not None
        assert fill.price == pytest.approx(opens[at] * (1 + side * 0.001))
        assert fill.fee == pytest.approx(abs(fill.quantity) * fill.price * 0.002, abs=1e-5)
    assert (len(run.fills) == 0) == (name == "cash")


@given(st.integers(0, 1000), st.sampled_from(["random", "momentum", "mean_reversion"]))
@settings(max_examples=20, deadline=None)
def test_equity_is_what_the_fills_leave(seed, name):
    candles = walk(400, seed)
    run = ran(baseline(name), candles, EnvSettings(stop_loss=0.01, take_profit=0.02), seed=seed)
    cash = 10_000 - sum(fill.quantity * fill.price + fill.fee for _, fill in run.fills)
    held = sum(fill.quantity for _, fill in run.fills)
    assert run.equity[-1] == pytest.approx(equity(cash, held, candles.close[-1]))


LEVERED = ActionSpec("levels", (-3.0, 0.0, 1.0, 3.0))


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.01]), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_backtest_and_the_environment_live_through_the_same_bars(seed, stop, is_futures):
    candles = walk(300, seed)
    policy = network_policy(candles, seed=seed, action=LEVERED if is_futures else None)
    env = EnvSettings(stop_loss=stop, window=2, episode_bars=0, bars_scale=100.0)
    if is_futures:
        changes = {
            "market": "futures",
            "leverage": 3.0,
            "max_exposure": 3.0,
            "funding_hours": 0.5,
            "ruin": 0.0,
        }
        env = EnvSettings.from_dict({**env.to_dict(), **changes, "action": LEVERED.to_dict()})
    seen = []
    run = ran(policy, candles, env, watch=lambda row, made: seen.append(made), sample=True, seed=seed)
    warm = policy.observation.feature_set.warmup
    scaled = policy.observation.scaler.transform(compute(candles, policy.observation.feature_set)[warm:])
    market = TradingEnv(candles[warm:], scaled, env)
    observation, info = market.reset(options={"start": 1})
    worth = [info["equity"]]
    for made in seen:
        np.testing.assert_array_equal(made.observation, observation)
        observation, _, _, _, info = market.step(made.opinion.action)
        worth.append(info["equity"])
    np.testing.assert_allclose(worth, run.equity, rtol=1e-12)


def test_a_futures_backtest_reports_funding_and_liquidations_and_says_how_it_trades():
    candles = walk(600, seed=3, volatility=0.02)
    chosen = BacktestSettings.parse(
        {"market": "futures", "leverage": 20, "max_exposure": 20, "funding_hours": 1, "maintenance": 0.02}
    )
    policy = network_policy(candles, action=ActionSpec("levels", (0.0, 20.0)))
    run = ran(policy, candles, chosen.env_settings())
    told = report(run, chosen, [])
    reasons = [row["reason"] for row in told.trades]
    assert told.metrics["liquidations"] == reasons.count("liquidation") > 0
    assert told.metrics["funding"] == run.funding > 0
    assert run.equity.min() >= 0
    assert any("leverage up to 20" in said for said in told.assumptions)
    assert "funding" not in report(ran(policy, candles), BacktestSettings.parse({}), []).metrics


def test_buying_and_holding_earns_what_the_benchmark_earns():
    candles, chosen = walk(), BacktestSettings.parse({})
    run = ran(baseline("buy_and_hold"), candles, chosen.env_settings())
    held = buy_and_hold(run.close, chosen)
    assert run.equity[-1] == pytest.approx(held[-1], rel=2e-3)  # bought one open later
    assert held[1] < 10_000 * run.close[1] / run.close[0]  # and it paid its fee


def test_momentum_beats_cash_and_chance_where_there_is_momentum():
    candles = waves()
    returns = {
        name: ran(baseline(name, **params), candles).equity[-1] / 10_000 - 1
        for name, params in (("momentum", {"period": 3}), ("random", {}), ("cash", {}))
    }
    assert returns["momentum"] > 1.0 > returns["cash"] == 0.0 > returns["random"]


def test_a_loss_limit_ends_trading_for_good():
    candles = walk(800, seed=8, volatility=0.01)
    run = ran(baseline("random", turnover=0.5), candles, limits=Limits(max_drawdown=0.05))
    halted = int(np.searchsorted(run.open_ms + 60_000, run.halted_ms))
    assert run.equity[halted] <= 0.95 * run.equity[: halted + 1].max()
    assert (run.exposure[halted + 1 :] == 0).all()
    assert "drawdown limit reached" in report(run, BacktestSettings(), []).assumptions[-1]


def test_exposure_never_exceeds_its_maximum():
    run = ran(baseline("buy_and_hold"), walk(), EnvSettings(max_exposure=0.4))
    assert run.exposure[1] == pytest.approx(0.4, abs=0.01)


def test_a_policy_that_acts_every_ten_bars_is_asked_every_ten_bars():
    candles = walk(400)
    made = decisions(network_policy(candles, decision_every=10), candles)
    assert {row % 10 for row, _, _ in made} == {9}


def test_the_report_is_complete_small_and_says_what_was_assumed():
    candles = walk(9000, seed=2)
    chosen = BacktestSettings.parse({"fee_rate": 0.002, "stop_loss": 0.01, "sample": True, "seed": 3})
    made = report(ran(baseline("random"), candles, chosen.env_settings()), chosen, ["Seen nothing."])
    assert len(made.curve["t_ms"]) <= POINTS
    assert {len(line) for line in made.curve.values()} == {len(made.curve["t_ms"])}
    assert made.metrics["fills"] == len(made.trades) > 100
    assert made.metrics["final_equity"] == pytest.approx(made.curve["equity"][-1])
    text = " ".join(made.assumptions)
    for words in (
        "Seen nothing.",
        "next bar's open",
        "fee of 0.2000%",
        "stop-loss 1.00%",
        "price collar",
        "seed 3",
    ):
        assert words in text


def test_settings_are_taken_flat_or_nested_and_a_models_own_rules_come_first():
    own = {"trading": Trading(fee_rate=0.0007).model_dump(), "limits": {"max_trades_per_day": 7}}
    flat = BacktestSettings.parse({"stop_loss": 0.02, "confidence": 0.5, "daily_loss": 0.1}, trained=own)
    nested = BacktestSettings.parse(
        {"trading": {"stop_loss": 0.02}, "decision": {"confidence": 0.5}, "limits": {"daily_loss": 0.1}},
        trained=own,
    )
    assert flat == nested
    assert (flat.trading.fee_rate, flat.trading.stop_loss) == (0.0007, 0.02)
    assert (flat.limits.daily_loss, flat.limits.max_trades_per_day) == (0.1, 7)
    assert BacktestSettings.parse(flat.model_dump(mode="json")) == flat


@pytest.mark.parametrize(
    "values", [{"fee_rate": -1}, {"trading": 3}, {"decision": {"mood": 1}}, {"seed": "x"}, {"slippage": 2}]
)
def test_settings_that_make_no_sense_are_refused(values):
    with pytest.raises(BadInput):
        BacktestSettings.parse(values)


def test_too_few_candles_are_refused():
    with pytest.raises(BadInput, match="100 candles are too few"):
        ran(baseline("sma_crossover"), walk(100))


def test_real_candles_go_through_every_rule(shared_data):
    from market.archive import read_parquet

    candles = read_parquet(shared_data / "binance-BTCUSDT-1m-20241001-20241104.parquet")[:5000]
    for name in BASELINES:
        run = ran(baseline(name), candles)
        assert np.isfinite(run.equity).all()
        assert (run.equity > 0).all()


@pytest.mark.django_db
def test_the_series_helper_stores_what_it_is_given(user):
    assert stored(walk(), user).rows == 600


def test_losses_in_a_row_lead_to_safe_mode_with_tiny_trades_only():
    candles = walk(800, seed=8, volatility=0.01)
    limits = Limits(max_loss_streak=2, safe_share=0.05, safe_cooldown_s=1e6)
    run = ran(baseline("random", turnover=0.5), candles, limits=limits)
    free = ran(baseline("random", turnover=0.5), candles)
    assert run.safe_modes == 1
    assert "Safe mode was entered 1 times." in report(run, BacktestSettings(), []).assumptions
    assert run.exposure[-400:].max() < 0.06 < free.exposure[-400:].max()


def test_a_cool_down_keeps_a_backtest_out_of_the_market():
    candles = walk(800, seed=8, volatility=0.01)
    run = ran(baseline("random", turnover=0.5), candles, limits=Limits(exit_cooldown_s=3600))
    opened = [at for at, fill in run.fills if fill.quantity > 0]
    assert len(opened) > 3
    assert min(after - before for before, after in pairwise(opened)) >= 3_600_000


def test_a_backtest_refuses_a_style_it_cannot_model():
    assert BacktestSettings.parse({"style": "market"}) == BacktestSettings.parse({})
    with pytest.raises(BadInput, match="leave the style out"):
        BacktestSettings.parse({"style": "limit"})


@pytest.mark.parametrize("caps", [{"max_position": 2_500.0}, {"max_order_share": 0.25}])
def test_a_cap_cuts_the_orders_of_a_backtest_and_the_report_says_how_often(caps):
    candles, limits = walk(300), Limits(**caps)
    free, run = (ran(baseline("buy_and_hold"), candles, limits=one) for one in (None, limits))
    first = [abs(fill.quantity) * fill.price for _, fill in (free.fills[0], run.fills[0])]
    assert first[0] > 9_900
    assert 2_400 < first[1] <= 2_500
    [name] = caps
    said = {
        "max_position": "Orders that a cap cut (position cut to its maximum value): ",
        "max_order_share": "Orders that a cap cut (order cut to its maximum share",
    }
    notes = report(run, BacktestSettings(limits=limits), []).assumptions
    assert sum(note.startswith(said[name]) for note in notes) == 1
    assert f"Breakers, guards and caps, those of a session: {name} {caps[name]:g}." in notes
    assert not any(
        note.startswith(tuple(said.values())) for note in report(free, BacktestSettings(), []).assumptions
    )
    assert run.exposure.max() < 0.27


def test_orders_cut_to_a_cap_do_not_depend_on_later_bars():
    candles = walk(400, seed=8, volatility=0.01)
    caps, before = Limits(max_position=3_000, max_order_share=0.2), candles.open_ms[200]
    one, two = (
        ran(baseline("random", turnover=0.5), market, limits=caps)
        for market in (candles, changed_after(candles, 200))
    )
    first, second = ([fill for fill in run.fills if fill[0] <= before] for run in (one, two))
    assert one.cut
    assert first == second
    assert one.fills != two.fills


def test_caps_never_keep_a_backtest_in_a_position():
    candles, caps = walk(800, seed=8, volatility=0.01), Limits(max_position=1_000, max_order_share=0.5)
    run = ran(baseline("random", turnover=0.5), candles, limits=caps)
    bought = [fill.quantity * fill.price for _, fill in run.fills if fill.quantity > 0]
    sold = [-fill.quantity * fill.price for _, fill in run.fills if fill.quantity < 0]
    assert max(bought) <= 1_000 + 1e-9 < max(sold)  # what has grown beyond a cap is sold in one order
    assert set(np.cumsum([fill.quantity for _, fill in run.fills])[1::2]) == {0}
