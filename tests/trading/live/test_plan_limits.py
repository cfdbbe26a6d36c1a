"""A plan's limits and stops, live and in a backtest over the same bars: they act on the same ones."""

import numpy as np
import pytest

from agents.artefacts import load_weights
from agents.backtest import Limits
from agents.backtest.basket import Stretch, simulate_basket
from agents.envs.settings import EnvSettings
from market.features import compute
from market.kernel.triggers import STOP
from tests.sandbox_server import start_sandbox
from tests.trading.live.conftest import MINUTE
from tests.trading.live.weights import PAIRS, Driven, planted, portfolio_model, replayed, start
from trading import accounts
from trading.models import RiskProfile, RiskState

FIRST, BARS = 300, 24  # bars of history before live time, and in it
MARKET = {"BTC/USD": planted(seed=5, bars=400), "ETH/USD": planted(seed=6, bars=400, start=2_500.0)}


@pytest.fixture
def both(tmp_path, user, profile):
    """Run a plan live under a risk profile, and its model's backtests on the same bars: under it and free."""
    start_ms = int(MARKET["BTC/USD"].open_ms[FIRST])
    model = portfolio_model(user, is_blind=True, every=2, band=0.02)

    def run(limits=None, **exits):
        venue = start_sandbox(
            state_dir=tmp_path / "venue", feed=replayed(tmp_path, MARKET), start_ms=start_ms
        )
        with venue as running:
            account = accounts.create_account(
                owner=user, name="replay", venue="roostoo", base_url=running.url, candles_url=running.url,
                key=running.key, secret=running.secret, calls_per_minute=100_000, poll_s=0.05,
            )  # fmt: skip
            RiskProfile.objects.update(max_exposure=0.95, **(limits or {}), **exits)
            live = Driven(start(user, account, profile, model), user, running, account)
            live.bar(BARS)
        return live, *(tested(live, Limits(**given), exits) for given in (limits or {}, {}))

    def tested(live, limits, exits):
        policy = load_weights(model)
        policy.action_spec = policy.action_spec.capped(0.95)
        rows = np.concatenate([compute(o, policy.observation.feature_set) for o in MARKET.values()], axis=1)
        first = int(np.flatnonzero(MARKET["BTC/USD"].open_ms == live.decisions()[0].bar_ms)[0])
        rules = EnvSettings(
            initial_cash=40000.0, slippage=0.0, tick=0.01, step=0.00001, action=policy.action_spec, **exits
        )
        stretch = Stretch(
            tuple(o[: FIRST + BARS + 1] for o in MARKET.values()), rows[: FIRST + BARS + 1], first
        )
        return simulate_basket(stretch, policy, rules, limits=limits)

    return run


def traded(live):
    """Return (open of the bar it filled in, pair, signed quantity, price) of every live fill."""
    fills = [fill for row in live.sessions() for fill in row.fills.select_related("order")]
    return sorted(
        (fill.filled_ms // MINUTE * MINUTE, fill.order.pair, float(fill.quantity), float(fill.price))
        for fill in fills
    )


def alike(live, run):
    theirs = sorted(
        (at_ms, PAIRS[place], fill.quantity, fill.price)
        for (at_ms, fill), place in zip(run.fills, run.places, strict=True)
    )
    assert [row[:2] for row in traded(live)] == [row[:2] for row in theirs]
    for ours, his in zip(traded(live), theirs, strict=True):
        assert ours[2] == pytest.approx(his[2], rel=2e-4, abs=5e-5)
        assert ours[3] == pytest.approx(his[3], abs=0.02)


@pytest.mark.parametrize("rule", ["daily_loss", "max_drawdown"])
def test_a_loss_limit_of_the_whole_plan_ends_both_at_the_same_price(both, rule):
    live, run, _ = both({rule: 0.005})
    assert run.halted_ms is not None
    assert {row.risk_state for row in live.sessions()} == {RiskState.HALTED}
    assert {row.held for row in live.sessions()} == {0}
    assert run.held[-1].max() == 0
    assert max(at for at, *_ in traded(live)) == run.halted_ms
    alike(live, run)


@pytest.mark.parametrize(
    "limits",
    [
        {"safe_drawdown": 0.003, "safe_share": 0.1, "safe_cooldown_s": 360.0},
        {"max_loss_streak": 1, "safe_share": 0.1, "safe_cooldown_s": 390.0},  # bars see a fill at their close
        {"exit_cooldown_s": 300.0, "max_order_share": 0.2},
        {"max_trades_per_day": 5, "max_position": 9_000.0},
    ],
)
def test_breakers_guards_and_caps_leave_both_the_same_orders(both, limits):
    live, run, free = both(limits)
    assert [fill for _, fill in run.fills] != [fill for _, fill in free.fills], "they act"
    alike(live, run)


def test_a_pairs_stop_sells_it_in_the_same_bars(both):
    live, run, _ = both(stop_loss=0.006)
    stopped = [
        (at_ms, PAIRS[place])
        for (at_ms, fill), place in zip(run.fills, run.places, strict=True)
        if fill.reason == STOP
    ]
    assert stopped
    rows = [(row.pair, fill) for row in live.sessions() for fill in row.fills.select_related("order")]
    sold = [(fill.filled_ms - MINUTE, pair) for pair, fill in rows if "stop-loss" in fill.order.reason]
    assert sorted(sold) == sorted(stopped), "live sees a bar's low when it closes there"


def test_an_averaging_cycles_exits_do_not_act_on_a_plan_whose_money_moves(core):
    """They count from the equity its session had when it bought; the plan lends that to another pair."""
    RiskProfile.objects.update(dca_lots=3, dca_max_loss=0.001, dca_profit=0.0001)
    core.bar(6)
    orders = [order for row in core.sessions() for order in row.orders.all()]
    assert len(orders) > 4
    assert all(order.decision for order in orders), "nothing but the model's weights is traded"
    assert not any(level in row.levels for row in core.sessions() for level in
                   ("maximum loss of the cycle", "profit target of the cycle"))  # fmt: skip
