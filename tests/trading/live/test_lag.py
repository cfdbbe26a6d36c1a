"""Wallets that are older than the orders a venue lists, and orders that trade while they are read."""

from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import AccountFactory
from trading import reconciliation, services
from trading.exchanges.port import CANCELLED, FILLED, OPEN, Balance, OrderReport
from trading.models import Alert, LedgerEntry, Reconciliation
from trading.models import OrderStatus as S
from trading.reconciliation import LAGS_MS

PRICE = D(100)


def begin(live):
    """Let a session take its capital without trading yet."""
    services.pause_session(session=live.session)
    live.turn()
    services.resume_session(session=live.session)


def test_books_are_not_compared_in_the_turn_that_sent_an_order(live, monkeypatch):
    live.start("buy_and_hold")
    begin(live)
    before = live.exchange.balances()
    proven, asked = live.account.reconciliations.count(), []
    monkeypatch.setattr(live.exchange, "balances", lambda **_: asked.append(1) or before)
    live.seat.wants_check = True
    live.bar()
    assert (live.session.orders.get().status, asked) == (S.FILLED, [])
    monkeypatch.undo()
    live.turn()
    assert live.account.reconciliations.count() == proven + 1
    assert live.account.reconciliations.first().equal
    assert not live.account.ledger.filter(kind="adjustment").exists()


def test_nor_is_an_order_of_another_session_undone_by_a_wallet_that_lags(live, monkeypatch):
    live.start("buy_and_hold")
    begin(live)
    before = {**live.exchange.balances(), "BTC": Balance(D(0))}  # a wallet lists what was ever held
    live.bar()
    books = live.books()
    with monkeypatch.context() as patch:
        patch.setattr(reconciliation, "LAGS_MS", 10**9)
        patch.setattr(live.exchange, "balances", lambda **_: before)
        assert reconciliation.reconcile(live.account, live.exchange) is None
    assert live.books() == books == live.ledger()
    assert reconciliation.reconcile(live.account, live.exchange).equal
    assert not Alert.objects.filter(key=f"books:{live.account.pk}").exists()


def test_what_no_order_explains_is_corrected_once_nothing_trades(live, monkeypatch):
    live.start("buy_and_hold").bar()
    monkeypatch.setattr(reconciliation, "LAGS_MS", 60_000)
    next(iter(live.venue.server.config.app.engine.accounts.values())).purses["USD"].free += 500
    assert reconciliation.reconcile(live.account, live.exchange) is None
    live.venue.advance(120_000)
    live.exchange.server_ms()
    assert not reconciliation.reconcile(live.account, live.exchange).equal
    assert live.books()["BTC"] == live.ledger()["BTC"]
    assert 0 <= live.ledger()["USD"] - live.books()["USD"] < D("0.01"), "as the wallet shows it"


class Tape:
    """A venue on which one order by hand trades in parts, between any two calls.

    :param moves: how many parts trade before each call is answered, call by call
    :param lag: how many parts the wallet is behind, as long as the newest is young
    """

    has_client_ids = lists_emptied = False

    def __init__(self, parts, side, *, moves, lag, ends, is_dated):
        self.parts, self.sign, self.side = parts, 1 if side == "BUY" else -1, side
        self.moves, self.lag, self.ends, self.is_dated = list(moves), lag, ends, is_dated
        self.at, self.ms, self.traded_ms = 0, 1_000_000, 0
        self.is_quiet = False

    def _go_on(self):
        self.ms += 100
        step = 0 if self.is_quiet else (self.moves.pop(0) if self.moves else 0)
        after = min(self.at + step, len(self.parts))
        if after > self.at:
            self.at, self.traded_ms = after, self.ms

    def rest(self):
        """Let nothing trade any more, and all of it be shown."""
        self.at, self.is_quiet = len(self.parts), True
        self.traded_ms = self.traded_ms or self.ms
        self.ms += LAGS_MS + 1000

    def now_ms(self):
        return self.ms

    def server_ms(self):
        return self.ms

    def short_positions(self):
        return []

    def totals(self, at):
        coins = sum(self.parts[:at], D(0))
        fee = (coins * PRICE * D("0.001")).quantize(D("0.000001"))
        return {"BTC": 1000 + self.sign * coins, "USD": D(100_000) - self.sign * coins * PRICE - fee}

    def balances(self, **_):
        self._go_on()
        is_young = self.ms - self.traded_ms < LAGS_MS
        found = self.totals(max(0, self.at - self.lag) if is_young else self.at)
        return {"BTC": Balance(found["BTC"]), "USD": Balance(found["USD"].quantize(D("0.01"), "ROUND_FLOOR"))}

    def reports(self, pair, *, open_only=False, limit=100):
        self._go_on()
        filled = sum(self.parts[: self.at], D(0))
        is_over = self.at == len(self.parts)
        status = (FILLED if self.ends == "filled" else CANCELLED) if is_over else OPEN
        whole = sum(self.parts, D(0)) + (0 if self.ends == "filled" else 1)
        return [
            OrderReport(
                "1", "BTC/USD", self.side, "LIMIT", status, whole, filled, PRICE if filled else D(0),
                (filled * PRICE * D("0.001")).quantize(D("0.000001")), "USD", "MAKER", 1_000_500,
                self.traded_ms if is_over else 0,
                traded_ms=self.traded_ms if self.is_dated else 0,
            )
        ]  # fmt: skip


parts = st.lists(st.integers(1, 500).map(lambda n: D(n) / 100), min_size=1, max_size=6)


@given(
    parts=parts, side=st.sampled_from(["BUY", "SELL"]), ends=st.sampled_from(["filled", "cancelled"]),
    moves=st.lists(st.integers(0, 2), max_size=24), lag=st.integers(0, 2), is_dated=st.booleans(),
)  # fmt: skip
@settings(max_examples=80)
def every_part_is_booked_once(owner, parts, side, ends, moves, lag, is_dated):
    tape = Tape(parts, side, moves=[], lag=lag if is_dated else 0, ends=ends, is_dated=is_dated)
    account = AccountFactory(owner=owner)
    reconciliation.reconcile(account, tape)  # opens the books
    tape.ms, tape.moves = 1_000_500, list(moves)
    while tape.moves:
        first, before = max(0, tape.at - tape.lag), reconciliation.holdings(account)
        done = reconciliation.reconcile(account, tape)
        held = reconciliation.holdings(account)
        assert held == before or done
        assert held["BTC"] in {tape.totals(at)["BTC"] for at in range(first, tape.at + 1)} or done is None
    tape.rest()
    for _ in range(2):
        done = reconciliation.reconcile(account, tape)
    assert done.equal
    theirs = tape.totals(len(parts))
    assert reconciliation.holdings(account) == theirs
    notes = set(LedgerEntry.objects.filter(account=account).values_list("note", flat=True))
    assert notes == {"found at first reading", "foreign order 1"}
    booked = LedgerEntry.objects.filter(account=account, note="foreign order 1", coin="BTC")
    assert all(row.amount * tape.sign > 0 for row in booked), "no part is booked and undone"


def test_parts_of_an_order_by_hand_are_booked_once_whenever_they_are_read(user):
    every_part_is_booked_once(user)


def test_a_part_that_trades_between_wallet_and_orders_is_not_undone(user):
    """It was booked from the list, undone because the wallet had not shown it, and corrected once more."""
    tape = Tape([D(1), D(2), D(4)], "SELL", moves=[], lag=0, ends="filled", is_dated=False)
    account = AccountFactory(owner=user)
    reconciliation.reconcile(account, tape)
    tape.ms, tape.moves = 1_000_500, [1, 1]  # one before the wallet, one before the orders
    assert reconciliation.reconcile(account, tape) is None
    assert reconciliation.holdings(account)["BTC"] == 1000
    assert not reconciliation.reconcile(account, tape).equal
    assert reconciliation.holdings(account)["BTC"] == 997
    assert reconciliation.reconcile(account, tape).equal
    rows = LedgerEntry.objects.filter(account=account, kind="adjustment", coin="BTC")
    assert [(row.amount, row.note) for row in rows] == [(D(-3), "foreign order 1")]
    assert Reconciliation.objects.filter(account=account, equal=False).count() == 1


@pytest.fixture
def user(user, db):
    return user
