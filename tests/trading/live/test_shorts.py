"""Sessions that go short: closed before turned, settled by asking, counted once."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from market.errors import BadInput
from market.kernel import portfolio
from tests.factories import OrderFactory
from tests.trading.live.conftest import Live
from trading import accounts, services
from trading.models import ExposureCap, RiskState, SessionStatus
from trading.models import OrderStatus as S
from trading.parity import verify

FLIPS = {"baseline": "random_long_short", "settings": {"turnover": 1.0, "share": 0.8, "seed": 1}}


def flips(live, **options):
    return live.start(**{**FLIPS, **options})


def short_at(live, pair="BTC/USD"):
    return next((one for one in live.venue.account()["shorts"] if one["pair"] == pair), None)


def filled(live):
    return list(live.session.orders.filter(status=S.FILLED).order_by("id").values_list("side", flat=True))


def books_agree(live):
    """Coins and dollars as the venue's ledger, shorts as its positions: to the last digit."""
    ours = live.books()
    shorts = {f"{one['pair']} short": Decimal(one["quantity"]) for one in live.venue.account()["shorts"]}
    assert ours == live.ledger() | shorts
    for one in live.venue.account()["shorts"]:
        row = live.account.holdings.get(coin=f"{one['pair']} short")
        assert (row.entry_price, row.collateral) == (Decimal(one["entry"]), Decimal(one["collateral"]))
    return True


def test_a_policy_that_flips_closes_before_it_opens_and_the_books_are_the_venues(live):
    flips(live)
    live.turn()
    live.bar(4)
    assert filled(live)[:5] == ["BUY", "SELL", "SHORT_OPEN", "SHORT_CLOSE", "BUY"]
    assert books_agree(live)
    assert not live.account.ledger.filter(kind="adjustment").exists()


def test_a_sessions_equity_is_the_venues_short_or_long(live):
    flips(live)
    live.turn()
    for _ in range(4):
        live.bar()
        session, theirs = live.session, live.venue.account()
        owned = sum(Decimal(part) for part in theirs["purses"]["USD"].values())
        price = Decimal(live.venue.state()["prices"]["BTC/USD"]["ask" if session.held < 0 else "bid"])
        worth = owned + sum(
            (Decimal(one["quantity"]) * (Decimal(one["entry"]) - price) for one in theirs["shorts"]),
            Decimal(0),
        )
        worth += sum((Decimal(part) for part in theirs["purses"].get("BTC", {}).values()), Decimal(0)) * price
        assert session.cash + session.held * price == worth


# --- orders nobody answered


def unanswered(path):
    return {"value": True, "paths": [path], "times": 1}


def short(live):
    """A session that has turned from long to short."""
    flips(live)
    live.turn()
    live.bar()
    assert live.session.held < 0
    return live


@pytest.mark.parametrize("path", ["short_open", "short_close"])
def test_an_accepted_short_order_whose_answer_was_lost_is_found_and_not_sent_again(live, path):
    flips(live)
    live.turn()
    if path == "short_close":
        live.bar()
    live.venue.faults(drop_after=unanswered(path))
    live.bar()
    side = path.upper()
    assert live.session.orders.get(side=side).status == S.UNCERTAIN
    count = len(live.venue_orders())
    live.turn()
    order = live.session.orders.get(side=side)
    assert (order.status, order.fills.count()) == (S.FILLED, 1)
    sides = [one["side"] for one in live.venue_orders()]
    assert sides.count(side) == 1
    assert len(sides) == count + (path == "short_close")  # the close is proven: now it may go long
    assert books_agree(live)


@pytest.mark.parametrize("path", ["short_open", "short_close"])
def test_a_short_order_that_never_arrived_is_proven_absent_by_the_shorts(live, path, patience):
    flips(live)
    live.turn()
    if path == "short_close":
        live.bar()
    live.venue.faults(drop_before=unanswered(path))
    live.bar()
    order = live.session.orders.get(side=path.upper())
    assert order.status == S.UNCERTAIN
    live.venue.advance(20_000)
    live.turn()
    order.refresh_from_db()
    assert order.status == S.UNCERTAIN  # its bound on our clock is not over
    patience()
    live.turn()
    order.refresh_from_db()
    assert order.status == S.ABSENT
    live.bar(2)
    assert books_agree(live)


def test_a_position_made_smaller_is_not_turned(live):
    live.start("target_weight", settings={"share": 0.8})
    live.bar(2)
    live.die()
    live.session.settings = {"share": 0.4}
    live.session.save(update_fields=["settings"])
    live.take().bar()
    decision = live.session.decisions.first()
    assert decision.orders.get().status == S.FILLED
    assert (decision.turns_to, decision.risk_reason) == (None, "")


def test_a_close_that_failed_never_leads_to_the_opening_it_was_for(live, patience):
    """The named regression: failed close, then direction switch."""
    short(live)
    live.venue.faults(drop_before=unanswered("short_close"))
    live.bar()
    assert live.session.decisions.first().turns_to is not None
    live.venue.advance(20_000)
    patience()
    live.turn()
    decision = live.session.decisions.first()
    assert decision.turns_to is None
    assert "not turned: the order that closes is absent" in decision.risk_reason
    assert live.session.held < 0
    assert filled(live) == ["BUY", "SELL", "SHORT_OPEN"]
    assert books_agree(live)
    live.bar()  # the next decision closes anew, then opens
    assert filled(live)[3:] == ["SHORT_CLOSE", "BUY"]
    assert books_agree(live)


def test_a_refused_close_leaves_the_position_and_opens_nothing(live):
    short(live)
    live.venue.faults(no_permission=True)
    live.bar()
    live.venue.faults(clear=True)
    live.turn()
    assert live.session.orders.get(side="SHORT_CLOSE").status == S.REJECTED
    assert (live.session.held < 0, live.session.decisions.first().turns_to) == (True, None)
    assert books_agree(live)


def test_the_next_driver_opens_what_a_dead_one_had_still_to_open(live, monkeypatch):
    flips(live)
    live.turn()
    monkeypatch.setattr("trading.turning.go_on", lambda *_: None)  # killed between the two orders
    live.bar()
    monkeypatch.undo()
    assert (filled(live), live.session.decisions.first().turns_to) == (["BUY", "SELL"], -0.8)
    live.die()
    live.take()
    live.turn()
    assert filled(live) == ["BUY", "SELL", "SHORT_OPEN"]
    live.turn()
    assert len(live.venue_orders()) == 3
    assert books_agree(live)


def test_a_turn_that_comes_too_late_is_not_made(live, monkeypatch):
    flips(live, settings={"turnover": 1.0, "share": 0.8, "seed": 1})
    live.turn()
    monkeypatch.setattr("trading.turning.go_on", lambda *_: None)
    live.bar()
    monkeypatch.undo()
    decision = live.session.decisions.first()
    live.venue.faults(http_5xx_before={"value": 503, "paths": ["klines"]})
    live.bar()
    decision.refresh_from_db()
    assert decision.turns_to is not None  # unknown bars decide nothing, not even that
    live.venue.faults(clear=True)
    live.turn()
    assert live.session.decisions.first() != decision
    assert books_agree(live)


# --- shorts that others opened or closed


# --- risk


def test_flatten_closes_a_short(live):
    short(live)
    services.flatten_session(session=live.session, by=live.user)
    live.turn()
    assert live.turn().status == SessionStatus.STOPPED
    assert (live.session.shorted, short_at(live)) == (0, None)
    assert books_agree(live)


def test_a_stop_leaves_a_short_when_the_price_rises(live):
    short(live)
    type(live.session.risk).objects.update(stop_loss=0.02)
    live.turn()
    assert live.session.stop_price == live.session.entry_price * Decimal("1.02")
    type(live.session).objects.update(entry_price=live.session.price / 2, stop_price=0, high_water=0)
    live.turn()
    assert live.session.shorted == 0
    assert live.session.orders.filter(reason="stop-loss", side="SHORT_CLOSE", status=S.FILLED).exists()
    assert books_agree(live)


def test_a_venue_that_cannot_short_is_refused_with_a_sentence_that_names_those_that_can(live):
    type(live.account).objects.update(venue="elsewhere")
    live.account.refresh_from_db()
    with pytest.raises(BadInput, match=r"cannot go short.*Roostoo"):
        flips(live)


def test_while_reducing_a_short_is_only_closed(live):
    short(live)
    type(live.session).objects.update(risk_state=RiskState.REDUCING)
    live.bar()
    assert (live.session.shorted, short_at(live)) == (0, None)
    live.bar(2)
    assert live.session.risk_state == RiskState.HALTED
    assert filled(live) == ["BUY", "SELL", "SHORT_OPEN", "SHORT_CLOSE"]
    assert books_agree(live)


def test_a_cap_cuts_a_short_as_it_cuts_a_long(live):
    ExposureCap.objects.create(owner=live.user, account=live.account, max_total=Decimal(1000))
    short(live)
    assert 900 < live.session.shorted * live.session.price <= 1010
    assert "cap on" in live.session.decisions.first().risk_reason
    assert books_agree(live)


def test_a_short_that_needs_approval_waits_after_its_close_was_proven(live):
    flips(live)
    live.turn()
    type(live.session.risk).objects.update(approval_above=100.0)
    live.bar()
    waiting = live.session.orders.get(side="SHORT_OPEN")
    assert (waiting.status, live.session.held < Decimal("0.001")) == (S.WAITING, True)
    services.approve_order(order=waiting, by=live.user)
    live.turn()
    waiting.refresh_from_db()
    assert waiting.status == S.FILLED
    assert books_agree(live)


def test_leaving_a_short_beside_a_rest_of_coins_waits_for_nobody(live):
    """The close is larger than all that the session is short of: the rest of coins stays where it is."""
    rest = Decimal("0.00002")
    short(live)
    next(iter(live.venue.server.config.app.engine.accounts.values())).purses["BTC"].free += rest
    live.account.holdings.filter(coin="BTC").update(quantity=rest)
    type(live.session).objects.filter(pk=live.session.pk).update(held=live.session.held + rest)
    type(live.session.risk).objects.update(approval_above=100.0)
    services.flatten_session(session=live.session, by=live.user)
    live.turn()
    assert live.session.orders.get(side="SHORT_CLOSE").status == S.FILLED
    assert books_agree(live)


@pytest.mark.parametrize("status", [S.REFUSED, S.WAITING])
def test_a_turn_leaves_its_position_whatever_a_person_says_of_what_follows(live, status):
    short(live)
    profile = live.session.risk
    type(profile).objects.update(approval_above=100.0)
    asked = OrderFactory(
        session=live.session, side="BUY", status=status, answer="rejected by a person", venue_order_id="",
        quantity=Decimal("0.1"), expires_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip
    live.seat.may_wait = True
    live.bar()
    assert live.session.orders.get(side="SHORT_CLOSE").status == S.FILLED
    assert live.session.held == 0
    asked.refresh_from_db()
    assert asked.status == S.REFUSED
    assert books_agree(live)


def test_a_decision_replays_bit_for_bit_while_short(live):
    flips(live)
    live.turn()
    live.bar(4)
    assert any(decision.portfolio[0] < 0 for decision in live.session.decisions.all())
    found = verify(live.session)
    assert found.is_equal, found.mismatches
    assert found.decisions == live.session.decisions.count()


def test_the_observation_of_a_short_is_the_backtests(live):
    """The same kernel function on the same books: what the environment would see at that close."""
    short(live)
    live.bar()
    decision = live.session.decisions.first()
    before = live.session.fills.filter(order__decision__bar_ms__lt=decision.bar_ms)
    cash, held, entry = live.session.capital, Decimal(0), Decimal(0)
    for fill in before.order_by("id"):
        entry = portfolio.average_entry(entry, held, fill.quantity, fill.price)
        cash, held = portfolio.settle(cash, held, fill.quantity, fill.price, fill.fee)
    exposure, unrealised = decision.portfolio[:2]
    close = float(decision.price)
    assert exposure == portfolio.exposure_of(float(cash), float(held), close) < 0
    assert unrealised == pytest.approx(1 - close / float(entry), abs=1e-12)


def test_two_sessions_of_one_account_share_what_a_short_leaves_free(live):
    short(live)
    from trading.purse import free_cash

    venue_free = live.exchange.balances()["USD"].free
    assert abs(free_cash(live.session) - venue_free) < Decimal("0.05")


def test_pages_and_rest_show_side_and_collateral(live, client):
    short(live)
    client.force_login(live.user)
    page = client.get(f"/sessions/{live.session.pk}/").content.decode()
    assert "Collateral" in page
    assert "SHORT_OPEN" in page
    session = client.get(f"/api/v1/sessions/{live.session.pk}/").json()
    locked = Decimal(short_at(live)["collateral"])
    assert Decimal(session["collateral"]) == locked
    assert Decimal(session["shorted"]) == live.session.shorted
    order = client.get(f"/api/v1/sessions/{live.session.pk}/orders/").json()["results"][0]
    assert (order["side"], Decimal(order["collateral"]) >= locked) == ("SHORT_OPEN", True)
    account = client.get(f"/api/v1/accounts/{live.account.pk}/").json()
    held = {row["coin"]: row for row in account["holdings"]}
    assert Decimal(held["BTC/USD short"]["collateral"]) == locked


def test_a_paper_account_goes_short_by_the_same_rules(user, venue):
    account = accounts.create_account(
        owner=user, name="paper", venue="paper", base_url=venue.url, candles_url=venue.url,
        calls_per_minute=100_000, poll_s=0.05,
    )  # fmt: skip
    paper = Live(user, venue, account)
    flips(paper)
    paper.turn()
    paper.bar(4)
    assert filled(paper)[:5] == ["BUY", "SELL", "SHORT_OPEN", "SHORT_CLOSE", "BUY"]
    purse = {coin: balance.total for coin, balance in paper.exchange.balances().items() if balance.total}
    shorts = {f"{one.pair} short": one.quantity for one in paper.exchange.short_positions()}
    assert paper.books() == purse | shorts
