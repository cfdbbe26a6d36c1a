"""Portfolio plans whose weights a model gives, on the sandbox."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.utils import timezone

from agents.artefacts import load_weights
from agents.backtest.basket import Stretch, simulate_basket
from agents.envs.settings import EnvSettings
from market.features import compute
from market.models import AuditEvent, LiveBar
from tests.agents.markets import changed_after
from tests.sandbox_server import start_sandbox
from tests.trading.live.weights import PAIRS, Driven, planted, portfolio_model, replayed, start
from trading import accounts, services, sessions
from trading.models import (
    Order,
    OrderStatus,
    PortfolioPlan,
    RiskProfile,
)
from trading.parity import verify


def test_it_trades_towards_the_models_weights_and_stores_every_decision(core):
    core.bar(6)
    made = core.decisions()
    assert len(made) == 6
    assert all(one.is_made and len(one.weights) == 2 and one.value is not None for one in made)
    assert core.shares() == pytest.approx(made[-1].weights, abs=0.012)
    assert core.members[0].books() == core.members[0].ledger()
    cash, left = core.money()
    assert cash == left >= 0
    for row in core.sessions():
        assert row.decisions.count() == 6
        assert row.cash >= 0
    assert all(order.status == OrderStatus.FILLED for row in core.sessions() for order in row.orders.all())


MARKET = {"BTC/USD": planted(seed=5), "ETH/USD": planted(seed=6, start=2_500.0)}
FIRST = 500  # bars of history before live time


@pytest.fixture
def replay(tmp_path, user):
    """A venue that replays planted candles of two pairs, and an account there."""
    start_ms = int(MARKET["BTC/USD"].open_ms[FIRST])
    with start_sandbox(
        state_dir=tmp_path / "replay", feed=replayed(tmp_path, MARKET), start_ms=start_ms
    ) as venue:
        account = accounts.create_account(
            owner=user, name="replay", venue="roostoo", base_url=venue.url, candles_url=venue.url,
            key=venue.key, secret=venue.secret, calls_per_minute=100_000, poll_s=0.05,
        )  # fmt: skip
        yield venue, account


@pytest.mark.parametrize("is_blind", [True, False])
def test_the_same_bars_in_a_backtest_give_the_same_weights_and_fills(replay, user, profile, is_blind):
    """Some cash stays free: else what a buy sets aside for a moving price is missing from the last one."""
    venue, account = replay
    model = portfolio_model(user, is_blind=is_blind, every=2, band=0.02)
    RiskProfile.objects.update(max_exposure=0.95)
    live = Driven(start(user, account, profile, model), user, venue, account)
    live.bar(20)
    made = live.decisions()

    policy = load_weights(model)
    policy.action_spec = policy.action_spec.capped(0.95)
    rows = np.concatenate([compute(one, policy.observation.feature_set) for one in MARKET.values()], axis=1)
    first = int(np.flatnonzero(MARKET["BTC/USD"].open_ms == made[0].bar_ms)[0])
    count = int(np.flatnonzero(MARKET["BTC/USD"].open_ms == made[-1].bar_ms)[0]) + 2
    settings = EnvSettings(
        initial_cash=40000.0,
        slippage=0.0,
        half_spread=0.0,
        tick=0.01,
        step=0.00001,
        action=policy.action_spec,
    )
    seen = {}
    stretch = Stretch(tuple(one[:count] for one in MARKET.values()), rows[:count], first)
    run = simulate_basket(stretch, policy, settings, watch=lambda row, weighed: seen.update({row: weighed}))

    again = {int(MARKET["BTC/USD"].open_ms[row]): weighed.weights for row, weighed in seen.items()}
    wanted = {one.bar_ms: tuple(one.weights) for one in made}
    assert len(wanted) == 10
    assert np.ptp(np.array(list(wanted.values())), axis=0).min() > 0.2, (
        "weights that stand still prove nothing"
    )
    if is_blind:
        assert wanted == again
    else:
        assert np.array(list(wanted.values())) == pytest.approx(np.array(list(again.values())), abs=2e-3)
    fills = live_fills(live)
    theirs = [
        (at_ms - 60_000, PAIRS[place], fill.quantity, fill.price)
        for (at_ms, fill), place in zip(run.fills, run.places, strict=True)
    ]
    assert [row[:2] for row in fills] == sorted(row[:2] for row in theirs)
    for ours, his in zip(fills, sorted(theirs), strict=True):
        assert ours[2] == pytest.approx(his[2], rel=1e-4, abs=5e-5)
        assert ours[3] == pytest.approx(his[3], abs=0.02)


def live_fills(live):
    rows = [fill for row in live.sessions() for fill in row.fills.select_related("order__decision")]
    return sorted(
        (fill.order.decision.bar_ms, fill.order.pair, float(fill.quantity), float(fill.price))
        for fill in rows
    )


def test_every_decision_is_repeated_bit_for_bit_even_across_a_restart(core):
    core.bar(3)
    core.die()
    core.bar(3)
    found = verify(core.sessions()[1])
    assert (found.decisions, found.mismatches) == (6, [])
    bar = LiveBar.objects.get(pair="ETH/USD", open_ms=core.decisions()[-1].bar_ms)
    LiveBar.objects.filter(pk=bar.pk).update(close=bar.close * 1.01)
    [mismatch] = verify(core.sessions()[0]).mismatches
    assert mismatch.bar_ms == bar.open_ms
    assert "of ETH/USD" in mismatch.what


def test_a_new_driver_goes_on_with_the_same_books(core):
    core.bar(4)
    before = core.sessions()
    peak = PortfolioPlan.objects.get().peak_equity
    core.die()
    core.turns()
    assert [(row.cash, row.held, row.entry_price) for row in core.sessions()] == [
        (row.cash, row.held, row.entry_price) for row in before
    ]
    assert PortfolioPlan.objects.get().peak_equity == peak
    core.bar()
    newest = core.decisions()[-1]
    places = [place for place, row in enumerate(before) if row.held]
    assert places
    for place in places:  # the unrealised return that the model saw is that of the books
        gain = newest.closes[place] / float(before[place].entry_price) - 1
        assert newest.account[2 * place + 1] == pytest.approx(gain, rel=1e-12)
    assert core.members[0].books() == core.members[0].ledger()


def test_what_comes_after_a_close_changes_nothing_of_its_weights(tmp_path, user, profile):
    """Look-ahead: two markets that are alike up to a close, and quite different from the next open on."""
    row = FIRST + 4
    model, found = portfolio_model(user), []
    for name, factor in (("as it was", 1.0), ("otherwise", 1.1)):
        folder = tmp_path / name
        folder.mkdir()
        market = {pair: changed_after(one, row, factor) for pair, one in MARKET.items()}
        start_ms = int(market["BTC/USD"].open_ms[FIRST])
        with start_sandbox(
            state_dir=folder / "venue", feed=replayed(folder, market), start_ms=start_ms
        ) as venue:
            account = accounts.create_account(
                owner=user, name=name, venue="roostoo", base_url=venue.url, candles_url=venue.url,
                key=venue.key, secret=venue.secret, calls_per_minute=100_000, poll_s=0.05,
            )  # fmt: skip
            live = Driven(start(user, account, profile, model, name=name), user, venue, account)
            live.bar(5)
            venue.advance(30_000)
            live.turns()
            found.append(live.decisions())
            price = live.sessions()[0].price
        assert not LiveBar.objects.filter(
            market__startswith=account.market, open_ms__gt=market["BTC/USD"].open_ms[row]
        ).exists()

    assert price != found[0][-1].closes[0]
    assert [one.bar_ms for one in found[0]] == [one.bar_ms for one in found[1]]
    assert found[0][-1].bar_ms == MARKET["BTC/USD"].open_ms[row]
    assert [(one.observation_hash, one.weights, one.value) for one in found[0]] == [
        (one.observation_hash, one.weights, one.value) for one in found[1]
    ]


def test_a_pair_without_a_bar_makes_the_plan_hold_and_says_so(core):
    core.bar(3)
    orders = sum(row.orders.count() for row in core.sessions())
    core.venue.faults(missing_pair="ETH/USD")
    core.bar()
    held = core.decisions()[-1]
    assert not held.is_made
    assert "no bar of ETH/USD yet that closed at" in held.reason
    assert held.weights == []
    assert sum(row.orders.count() for row in core.sessions()) == orders
    core.venue.faults(clear=True)
    core.venue.advance(5_000)
    core.turns()
    caught_up = core.decisions()[-1]
    assert (caught_up.bar_ms, caught_up.is_made) == (held.bar_ms, True), "it has come before the next close"
    core.venue.faults(missing_pair="BTC/USD")  # the session that decides for all
    core.bar()
    core.venue.faults(clear=True)
    core.bar(2)
    assert [one.is_made for one in core.decisions()][-2:] == [True, True]
    assert verify(core.sessions()[0]).is_equal


@pytest.mark.parametrize("fault", ["drop_after", "drop_before"])
def test_an_answer_lost_in_the_middle_of_a_rebalance_is_settled_and_nothing_is_doubled(
    replay, user, profile, fault
):
    venue, account = replay
    core = Driven(start(user, account, profile, portfolio_model(user, is_blind=True)), user, venue, account)
    core.bar(2)
    struck = 0
    for _ in range(4):
        venue.faults(**{fault: {"value": True, "paths": ["place_order"], "times": 1}})
        core.bar(1, turns=2)
        struck += any(
            order.status == OrderStatus.UNCERTAIN for row in core.sessions() for order in row.orders.all()
        )
        venue.faults(clear=True)
        Order.objects.filter(status=OrderStatus.UNCERTAIN).update(
            changed_at=timezone.now() - timedelta(hours=1)
        )
        venue.advance(20_000)
        core.turns()
        venue.advance(20_000)
        core.turns(4)
        venue.advance(20_000)
        core.turns(4)
    assert struck >= 2
    statuses = {order.status for row in core.sessions() for order in row.orders.all()}
    assert statuses <= {OrderStatus.FILLED, OrderStatus.ABSENT, OrderStatus.REFUSED}
    assert core.members[0].books() == core.members[0].ledger()
    placed = sorted(str(order["order_id"]) for order in core.members[0].venue_orders())
    ours = [
        order.venue_order_id for row in core.sessions() for order in row.orders.exclude(venue_order_id="")
    ]
    assert placed == sorted(ours)
    cash, left = core.money()
    assert cash == left
    for row in core.sessions():
        bars = [order.decision.bar_ms for order in row.orders.select_related("decision")]
        assert len(bars) == len(set(bars)), "one order a pair and decision"


def test_sells_are_proven_before_their_proceeds_are_spent(replay, user, profile):
    venue, account = replay
    model = portfolio_model(user, is_blind=True, seed=1)
    core = Driven(start(user, account, profile, model), user, venue, account)
    core.bar(2)
    turned = 0
    for _ in range(8):
        venue.faults(drop_after={"value": True, "paths": ["place_order"], "times": 1})
        core.bar(1, turns=2)
        made = core.decisions()[-1]
        if sorted(made.sides) == [-1, 1]:
            turned += 1
            seller, buyer = (core.sessions()[made.sides.index(side)] for side in (-1, 1))
            if seller.orders.filter(decision__bar_ms=made.bar_ms, status=OrderStatus.UNCERTAIN).exists():
                assert not buyer.orders.filter(decision__bar_ms=made.bar_ms).exists()
        venue.faults(clear=True)
        core.turns(4)
    assert turned >= 2
    sold = {}
    for row in core.sessions():
        for order in row.orders.filter(side="SELL").select_related("decision"):
            sold.setdefault(order.decision.bar_ms, []).append(order)
    for row in core.sessions():
        for order in row.orders.filter(side="BUY").select_related("decision"):
            for sale in sold.get(order.decision.bar_ms, []):
                assert sale.settled_ms <= order.planned_ms
                assert sale.pk < order.pk


@pytest.mark.parametrize("unknown", ["the price", "an order"])
def test_limits_act_while_something_is_unknown_of_the_pair_that_decides(core, monkeypatch, unknown):
    RiskProfile.objects.update(daily_loss=0.05)
    core.bar(4)
    if unknown == "an order":
        monkeypatch.setattr(sessions, "_settle", lambda seat: seat.session.pair != "BTC/USD")
    for _ in range(3):
        for member in core.members:
            quotes = member.exchange.quotes()
            quote = quotes["ETH/USD"]
            quotes["ETH/USD"] = replace(quote, bid=quote.bid / 2, ask=quote.ask / 2, last=quote.last / 2)
            if unknown == "the price":
                del quotes["BTC/USD"]
            quote = quotes.get(member.session.pair)
            sessions.step(member.seat, quote=quote, now_ms=member.exchange.now_ms())
    assert {row.risk_state for row in core.sessions()} <= {"reducing", "halted"}


def test_money_that_moves_between_sessions_is_no_profit_of_theirs(core):
    core.bar(6)
    services.stop_plan(plan=core.plan, flatten=True, by=core.user)
    core.bar(2)
    assert AuditEvent.objects.filter(action="plan.level").exists(), "money has moved"
    for row in core.sessions():
        day = row.days.get()
        assert abs(day.pnl - (row.cash - row.capital)) < Decimal("0.01")
        assert abs(day.metrics["return"]) < 0.03
