"""Our books against the venue's: a pure comparison, then corrections as ledger entries. The venue wins.

The venue shows the quote currency floored to cents, what is free and what is locked each by itself, so
equality there is to a cent, or to two while an order or a short locks some; coins are compared to the last
unit. Nothing is compared while an order of the account is unsettled: then the difference has a name.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from trading import alerts, books, foreign, short_books, strays
from trading.exchanges.errors import BadAnswer
from trading.exchanges.port import OPEN, Balance, Exchange, OrderReport, ShortPosition
from trading.guard import Leased
from trading.locks import lock_account
from trading.models import (
    Account,
    AlertKind,
    ForeignOrders,
    Holding,
    LedgerEntry,
    LedgerKind,
    Reconciliation,
    Side,
)
from trading.models.order import RESTING

logger = logging.getLogger(__name__)

CENT = Decimal("0.01")
NOISE = Decimal("0.000001")  # 15 significant digits of a large balance
COIN_NOISE = foreign.NOISE
DUST = Decimal("0.000001")  # of a coin: below the finest step of any pair
ZERO = Decimal(0)
UNLISTED = "nothing yet: the wallet may have been read in part"
# Comparisons in a row, a minute apart, that must miss a coin before it is gone: where wallets list what is
# there; and where a coin once held stays listed: an absent one was not read, or the account begun anew.
AGREEING, AGREEING_LISTED, APART = 3, 10, timedelta(minutes=1)
# Venue time after a trade in which a wallet may still be the one before it, although the order is listed.
LAGS_MS = 5000
QUOTES = frozenset({"USD", "USDT", "USDC", "EUR"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One coin whose amounts do not agree."""

    coin: str
    ours: Decimal
    theirs: Decimal

    @property
    def missing(self) -> Decimal:
        """Return what must be added to our books."""
        return self.theirs - self.ours

    @property
    def is_dust(self) -> bool:
        """Say whether it is too little to be traded: it is taken over and nobody is told."""
        return self.coin not in QUOTES and abs(self.missing) < DUST


def compare(
    ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal], parts: Mapping[str, int] | None = None
) -> list[Difference]:
    """Return the coins that differ by more than the venue's display can explain; `parts` as `Seen.parts`."""
    found = []
    for coin in sorted(set(ours) | set(theirs)):
        one, other = ours.get(coin, Decimal(0)), theirs.get(coin, Decimal(0))
        if not is_equal(coin, one, other, (parts or {}).get(coin, 1)):
            found.append(Difference(coin, one, other))
    return found


def is_equal(coin: str, ours: Decimal, theirs: Decimal, parts: int = 1) -> bool:
    """Say whether the venue's shown amount can stand for ours: cents are floored, coins are exact.

    :param parts: how many floored figures `theirs` is the sum of
    """
    if coin in QUOTES:
        return -NOISE <= ours - theirs < CENT * parts + NOISE
    return abs(ours - theirs) <= COIN_NOISE


def holdings(account: Account) -> dict[str, Decimal]:
    """Return what our books say the account holds."""
    return dict(Holding.objects.filter(account=account).values_list("coin", "quantity"))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the venue shows of an account: its wallet, and its shorts, which were read after it."""

    balances: Mapping[str, Balance]
    shorts: tuple[ShortPosition, ...] = ()

    @property
    def totals(self) -> dict[str, Decimal]:
        """Return every holding: coins, and shorts by their names. Collateral is part of its coin."""
        coins = {coin: balance.total for coin, balance in self.balances.items()}
        return coins | short_books.quantities(self.shorts)

    @property
    def parts(self) -> dict[str, int]:
        """Return how many figures of the venue each total is made of: 2 where something is locked, else 1."""
        return {coin: 2 if balance.locked else 1 for coin, balance in self.balances.items()}


def look(account: Account, exchange: Exchange | Leased, *, may_short: bool = False) -> Seen:
    """Read the wallet and, where there can be any, the shorts.

    :param may_short: an order in doubt may have opened one
    """
    balances = exchange.balances()
    if may_short or short_books.of_account(account) or any(one.collateral for one in balances.values()):
        return Seen(balances, tuple(exchange.short_positions()))
    return Seen(balances)


def open_books(account: Account, exchange: Exchange | Leased) -> None:
    """Take the venue's balances as the account's opening entries; does nothing once that has been done."""
    if account.opened_at is not None:
        return
    opened_ms = exchange.server_ms()  # asked, not estimated: later orders must not seem to be older
    seen = look(account, exchange)
    with transaction.atomic():
        now = timezone.now()
        mine = Account.objects.filter(pk=account.pk, opened_at=None)
        if mine.update(opened_at=now, opened_ms=opened_ms, proven_equal_at=now):
            found = [(coin, amount, LedgerKind.OPENING) for coin, amount in seen.totals.items() if amount]
            books.enter(account, found, note="found at first reading")
            short_books.follow(account, seen.shorts)
            Reconciliation.objects.create(account=account, equal=True)
    account.refresh_from_db(fields=["opened_at", "opened_ms", "proven_equal_at"])


def reconcile(account: Account, exchange: Exchange | Leased) -> Reconciliation | None:
    """Compare our books with the venue's, record it, and correct ours. None when it must wait.

    It waits while an order of the account is unsettled, when something was booked while we were asking, and
    while something trades there: then the wallet shows one instant and the list of orders another, and what
    no order explains may only not be shown yet.

    :raises BadAnswer: when the wallet lacks a coin that our books hold, and no order explains that.
    """
    open_books(account, exchange)
    if _state(account) is None:
        return None
    strays.withdraw(account, exchange)
    before = _state(account)
    if before is None:
        return None
    seen = look(account, exchange)
    differences = [*compare(holdings(account), seen.totals, seen.parts), *_terms(account, seen)]
    orders = exchange.reports(None) if differences else []
    if differences and not _all_rest(account, orders):
        return None
    unlisted = _unlisted(account, seen, orders)
    least = AGREEING_LISTED if exchange.lists_emptied else AGREEING
    if unlisted and not _is_believed(account, unlisted, least):
        raise BadAnswer(f"the wallet came back without {', '.join(unlisted)}, which the books hold")
    try:
        return _recorded(account, before, differences, seen, orders)
    except _Unexplained:  # it is undone
        if _trades_now(orders, exchange.now_ms()) or look(account, exchange).totals != seen.totals:
            return None
    return _recorded(account, before, differences, seen, orders, may_correct=True)


def _unlisted(account: Account, seen: Seen, reports: list[OrderReport]) -> list[str]:
    """Return the coins that our books hold, the wallet does not list, and no order explains (P5)."""
    ours = {
        coin: amount
        for coin, amount in holdings(account).items()
        if amount > DUST and coin not in seen.balances and not short_books.is_short(coin)
    }
    if not ours:
        return []
    effect = foreign.effect_of(foreign.unknown(account, reports), short_books.of_account(account))
    return sorted(coin for coin, amount in ours.items() if amount + effect.get(coin, ZERO) > DUST)


def _is_believed(account: Account, unlisted: list[str], least: int) -> bool:
    """Say whether enough comparisons in a row have missed the same coins; else write this one down."""
    newest = list(account.reconciliations.all()[:least])
    told = [[one["coin"] for one in row.differences if one["done"] == UNLISTED] for row in newest]
    now, ours = timezone.now(), holdings(account)
    agree = all(coins == unlisted for coins in told)
    if agree and len(newest) == least and now - newest[-1].at >= APART * least:
        return True
    if not newest or told[0] != unlisted or now - newest[0].at >= APART:
        rows = [
            {"coin": coin, "ours": str(ours[coin]), "theirs": "not listed", "done": UNLISTED}
            for coin in unlisted
        ]
        Reconciliation.objects.create(account=account, equal=False, differences=rows)
    return False


def _terms(account: Account, seen: Seen) -> list[Difference]:
    """Return entries and collateral of shorts that are not what our books say although the quantity is."""
    ours, found = short_books.of_account(account), []
    for one in seen.shorts:
        mine = ours.get(one.pair)
        if mine is None or mine.quantity != one.quantity:
            continue
        name = short_books.name_of(one.pair)
        if abs(mine.entry - one.entry_price) > NOISE * one.entry_price:
            found.append(Difference(f"{name} entry", mine.entry, one.entry_price))
        if abs(mine.collateral - one.collateral) >= CENT:
            found.append(Difference(f"{name} collateral", mine.collateral, one.collateral))
    return found


def _state(account: Account) -> int | None:
    """Return a number that changes with every booking; None while it is not known what became of an order."""
    if account.orders.unsettled().exclude(RESTING).exists():
        return None
    newest = LedgerEntry.objects.filter(account=account).order_by("-id").values_list("id", flat=True).first()
    return newest or 0


def _all_rest(account: Account, reports: list[OrderReport]) -> bool:
    """Say whether none of our resting orders can be what a wallet differs by.

    The reports were read after the wallet: what still waits untouched in them had not traded before.
    """
    waits = {one.venue_order_id for one in reports if one.status == OPEN and not one.filled}
    return waits.issuperset(account.orders.resting().values_list("venue_order_id", flat=True))


class _Unexplained(Exception):
    """Orders do not explain what the wallet differs by."""


def _trades_now(reports: list[OrderReport], now_ms: int) -> bool:
    """Say whether an order has traded so short a time ago that a wallet may not show it yet."""
    traded = [
        one.traded_ms or one.finished_ms or one.created_ms for one in reports if foreign.has_traded(one)
    ]
    return any(abs(now_ms - at_ms) < LAGS_MS for at_ms in traded)


@transaction.atomic
def _recorded(
    account: Account,
    before: int,
    differences: list[Difference],
    seen: Seen,
    orders: list[OrderReport],
    *,
    may_correct: bool = False,
) -> Reconciliation | None:
    """Book what orders explain, then what they do not; None when something else was booked since `before`.

    :raises _Unexplained: when something is left that no order explains, unless it `may_correct` that
    """
    lock_account(account.pk)
    if _state(account) != before:
        return None
    done = foreign.take_over(account, orders) if differences else []
    unexplained = compare(holdings(account), seen.totals, seen.parts)
    if not (may_correct or all(one.is_dust for one in unexplained)):
        raise _Unexplained
    for left in unexplained:
        missing = (left.coin, left.missing, LedgerKind.ADJUSTMENT)
        books.enter(account, [missing], note="the venue's figure")
        done.append(f"{left.coin} corrected by {left.missing:f}")
    short_books.follow(account, seen.shorts)
    if not all(one.is_dust for one in differences):
        _tell(account, differences, done)
    return _write_down(account, differences, done)


def _write_down(account: Account, differences: list[Difference], done: list[str]) -> Reconciliation:
    """Record a comparison. What had to be corrected is not proven: the next comparison proves it."""
    is_equal = all(one.is_dust for one in differences)
    if is_equal:
        account.proven_equal_at = timezone.now()
        account.save(update_fields=["proven_equal_at"])
        alerts.close_alert(account.owner, _key(account))
    rows = [{**{k: str(v) for k, v in asdict(one).items()}, "done": "; ".join(done)} for one in differences]
    return Reconciliation.objects.create(account=account, equal=is_equal, differences=rows)


def adopt_if_explained(
    account: Account, names: tuple[str, ...], seen: Seen, reports: list[OrderReport]
) -> bool:
    """Adopt foreign orders if they explain the whole difference of the named coins; False changes nothing."""
    effect = foreign.effect_of(foreign.unknown(account, reports), short_books.of_account(account))
    ours, theirs, parts = holdings(account), seen.totals, seen.parts
    found = [Difference(coin, ours.get(coin, ZERO), theirs.get(coin, ZERO)) for coin in names]
    for one in found:
        with_them = one.ours + effect.get(one.coin, ZERO)
        if not is_equal(one.coin, with_them, one.theirs, parts.get(one.coin, 1)):
            return False
    with transaction.atomic():
        lock_account(account.pk)
        done = foreign.take_over(account, reports)
        if not done:  # equal by now; some coins only were compared, so nothing is proven
            return True
        differences = [
            one for one in found if not is_equal(one.coin, one.ours, one.theirs, parts.get(one.coin, 1))
        ]
        _tell(account, differences, done)
        _write_down(account, differences, done)
    return True


def adopt_before(
    account: Account, found: OrderReport, reports: list[OrderReport], exchange: Exchange | Leased
) -> None:
    """Take over the shorts that others opened and closed on a pair before an order of ours, not yet booked.

    The venue has merged them by then, and what ours has earned or paid depends on them. The venue's shorts
    must show that they are missing in our books: times alone do not tell what was there before the books.
    """
    name = short_books.name_of(found.pair)
    older = [
        one
        for one in foreign.unknown(account, reports)
        if Side(one.side).is_short and one.pair == found.pair and _age(one) < _age(found)
    ]
    if not older:
        return
    shorts, theirs = short_books.of_account(account), look(account, exchange, may_short=True).totals
    ours = holdings(account).get(name, ZERO)
    with_ours = ours + foreign.effect_of([found], shorts).get(name, ZERO)
    with_all = ours + foreign.effect_of([*older, found], shorts).get(name, ZERO)
    if with_ours == theirs.get(name, ZERO) or with_all != theirs.get(name, ZERO):
        return
    with transaction.atomic():
        lock_account(account.pk)
        done = foreign.take_over(account, older[::-1])  # as the venue lists them, newest first
        row = {"coin": name, "ours": str(ours), "theirs": str(with_all), "done": "; ".join(done)}
        Reconciliation.objects.create(account=account, equal=False, differences=[row])
        _tell(account, [Difference(name, ours, with_all)], done)


def _age(report: OrderReport) -> tuple[int, int]:
    return report.created_ms, int(report.venue_order_id)


def _tell(account: Account, differences: list[Difference], done: list[str]) -> None:
    figures = ", ".join(
        f"{one.coin} ours {one.ours.normalize():f} theirs {one.theirs.normalize():f}" for one in differences
    )
    text = (
        f"The books of {account} were not the venue's{': ' + figures if figures else ''}. {'; '.join(done)}."
    )
    logger.warning(text)
    if account.foreign_orders == ForeignOrders.IGNORE and done and foreign.is_all(done):
        return
    kind = AlertKind.BOOKS
    alerts.raise_alert(
        account.owner, kind.level, _key(account), text, kind=kind, url=f"/accounts/{account.pk}/"
    )


def _key(account: Account) -> str:
    return f"books:{account.pk}"
