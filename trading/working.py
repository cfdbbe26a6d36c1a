"""Parent orders at work: limit orders that rest and are re-quoted, quantities split over a time.

`styles.py` says what comes next from what is on record; here it is done, one step a turn. Whoever drives the
session goes on from the same rows, so a killed process leaves nothing half done.
"""

import logging
from decimal import Decimal
from typing import NamedTuple

from django.db import transaction

from market.kernel.instrument import floor_to_step
from trading import admission, alerts, caps, legs, orders, risk, settle, styles, waiting
from trading.acting import carry_out, intend, settled, too_small, too_soon
from trading.exchanges.errors import ExchangeError, Throttled
from trading.exchanges.port import Quote
from trading.execution import Execution
from trading.models import (
    AlertKind,
    AlertLevel,
    Decision,
    LiveSession,
    Order,
    OrderStatus,
    ParentOrder,
    ParentStatus,
    RiskState,
    SessionStatus,
    Side,
)
from trading.models.order import HELD_BACK, UNSETTLED
from trading.seat import Seat
from trading.states import save_marks

logger = logging.getLogger(__name__)

OVERDUE_MS = 120_000  # venue time after its deadline at which a resting order is told to a person
UNAPPROVED = "what is left needs a person's approval by now"
LATE_BARS = 2  # after its deadline a wish is as old as a bar that closed unseen: not traded any more


class Room(NamedTuple):
    """Whether a new wish may be traded, and until when a wish that it replaces would have rested."""

    refusal: str = ""
    side: str = ""
    until_ms: int | None = None


def execution_of(session: LiveSession) -> Execution:
    """Return how the session trades. :raises BadInput: for settings that make no sense (any more)."""
    return Execution.from_dict(session.settings)


def working(session: LiveSession) -> ParentOrder | None:
    """Return the session's parent order at work; without a query for the many that have none."""
    if session.settings.get("style", "market") == "market":
        return None
    return session.parents.filter(status=ParentStatus.WORKING).select_related("decision").first()


def begin(
    seat: Seat,
    quantity: Decimal,
    price: Decimal,
    reason: str,
    now_ms: int,
    decision: Decision,
    room: Room,
) -> Order | None:
    """Write down how a sized wish is traded: an intent to send at once, or a parent order for `work`.

    Call inside the decision's transaction.

    :param quantity: signed, 0 for none
    """
    session, rules = seat.session, execution_of(seat.session)
    is_plain = rules.style == "market" or session.risk_state != RiskState.ACTIVE
    is_plain = is_plain or _is_short(seat, quantity, price, decision)
    is_plain = is_plain or waiting.is_needed(session, quantity, price)  # a person approves one order, whole
    slices: tuple[Decimal, ...] = ()
    if rules.style == "split" and not is_plain:
        slices = _slices(seat, quantity, price, rules.children, now_ms)
        is_plain = len(slices) < 2
    if quantity == 0 or is_plain:
        return intend(seat, quantity, price, reason, now_ms, decision)
    side = Side.BUY if quantity > 0 else Side.SELL
    until_ms = now_ms + int(1000 * (rules.over_s if slices else rules.deadline_s))
    if room.until_ms is not None and room.side == side and not slices:
        until_ms = min(until_ms, room.until_ms)  # the same wish, a little changed, does not rest anew
    ParentOrder.objects.create(
        session=session,
        decision=decision,
        style=rules.style,
        side=side,
        quantity=abs(quantity),
        slices=[format(part, "f") for part in slices],
        target=decision.target or 0.0,
        reason=reason[:200],
        planned_ms=now_ms,
        until_ms=until_ms,
    )
    return None


def _is_short(seat: Seat, quantity: Decimal, price: Decimal, decision: Decision) -> bool:
    """Say whether a wish opens or closes a short, or must be closed first: those go to market at once."""
    leg = legs.first_leg(seat.session, quantity, price, seat.instrument)
    return leg.side.is_short or decision.turns_to is not None


def _slices(seat: Seat, quantity: Decimal, price: Decimal, count: int, now_ms: int) -> tuple[Decimal, ...]:
    side = Side.BUY if quantity > 0 else Side.SELL
    taken = orders.taken_quantities(seat.session, side, now_ms)
    least = Decimal(seat.instrument.min_notional) / (price * (1 - risk.HEADROOM))
    step = Decimal(seat.instrument.step)
    return styles.slices_of(abs(quantity), count, step=step, least=least, taken=taken)


def work(seat: Seat, quote: Quote | None, now_ms: int) -> None:
    """Take the next step of the parent order at work, if there is one.

    :param quote: None while the price is unknown.
    :raises ExchangeError: when it cannot be known what became of a resting order.
    """
    parent = working(seat.session)
    if parent is None:
        return
    child = parent.children.resting().first()
    if child is None and parent.children.unsettled().exists():
        return
    requote_ms = _requote_ms(seat.session)
    seen = _seen(seat, parent, quote)
    act = styles.next_act(seen, _resting(parent, child), quote, seat.instrument, now_ms, requote_ms)
    if act.kind != styles.CANCEL:
        seat.clearing_ms = 0  # it rests as it should
    try:
        _do(seat, parent, child, act, quote, now_ms)
    except Throttled as error:  # it rests on; what is urgent asks again on the next turn
        logger.info("session %s: %s", seat.session.pk, error)
    if child is not None and now_ms > parent.until_ms + OVERDUE_MS:
        _tell_overdue(seat.session, child)


def _do(
    seat: Seat, parent: ParentOrder, child: Order | None, act: styles.Act, quote: Quote | None, now_ms: int
) -> None:
    if act.kind == styles.END:
        is_done = act.why == "done"
        why = f"its time is over: {parent.note}" if parent.note and not is_done else act.why
        end(parent, ParentStatus.DONE if is_done else ParentStatus.ENDED, why)
    elif act.kind == styles.PLACE and quote is not None:
        _place(seat, parent, act, quote, now_ms)
    elif child is not None and act.kind in (styles.LOOK, styles.CANCEL):
        save_marks(seat.session)
        _touch(parent, now_ms)
        (settle.withdraw if act.kind == styles.CANCEL else settle.follow)(child, seat.exchange)
        _looked(seat, child)


def _place(seat: Seat, parent: ParentOrder, act: styles.Act, quote: Quote, now_ms: int) -> None:
    """Send the next child. One that enters passes what a first order passes, as things are by now."""
    if too_soon(now_ms, seat.refused_ms, seat.held_ms):
        return
    signed = act.quantity if parent.side == Side.BUY else -act.quantity
    price = quote.ask if parent.side == Side.BUY else quote.bid
    reason = f"{parent.reason}: {act.why or 'at the touch'}"
    save_marks(seat.session)  # what is booked reads the row anew
    paying, why = act.price or price, ""
    is_entry = not waiting.is_exit(seat.session, signed)
    left = _seen(seat, parent, quote).left
    is_asked = is_entry and waiting.is_needed(seat.session, left, paying)
    if is_asked and _ask(seat, parent, left, price, now_ms):
        return
    if is_entry:
        signed, why = _admitted(seat, parent, signed, paying, quote, now_ms)
    with transaction.atomic():
        if is_entry:
            signed, over = caps.fitted(seat.session, signed, paying, seat.instrument)
            why = "; ".join(filter(None, (why, over)))
        order = intend(seat, signed, price, reason, now_ms, parent.decision, parent=parent, limit=act.price)
    _note(seat, parent, why, now_ms)
    if order is None:
        if why:
            return  # it is tried again until its time is over
        _end_unmade(seat, parent)
        return
    _touch(parent, now_ms)
    carry_out(seat, order, quote)


def _ask(seat: Seat, parent: ParentOrder, left: Decimal, price: Decimal, now_ms: int) -> bool:
    """Ask a person for what is left of an entry, as one order: threshold or price have moved since.

    Where that comes to no order the wish goes on, or ends saying why. False where the order, made unlike
    others of the hour, is so small by then that it needs nobody.
    """
    signed = left if parent.side == Side.BUY else -left
    with transaction.atomic():
        order = intend(seat, signed, price, f"{parent.reason}: {UNAPPROVED}", now_ms, parent.decision)
        if order is None:
            _end_unmade(seat, parent)
        elif order.status == OrderStatus.WAITING:
            end(parent, ParentStatus.ENDED, UNAPPROVED)
        else:
            transaction.set_rollback(True)
            return False
    return True


def _end_unmade(seat: Seat, parent: ParentOrder) -> None:
    """End a wish of which no order could be made, unless only another order of the pair is in its way."""
    in_the_way = seat.session.account.orders.filter(status__in=[*UNSETTLED, *HELD_BACK])
    if not in_the_way.filter(pair=seat.session.pair).exists():
        end(parent, ParentStatus.DONE, too_small(seat))


def _admitted(
    seat: Seat, parent: ParentOrder, quantity: Decimal, price: Decimal, quote: Quote, now_ms: int
) -> tuple[Decimal, str]:
    """Return (quantity, reason): what the rules leave of a child now, its parent being one trade."""
    session = seat.session
    if session.risk.price_collar and not seat.feed.last_ms:
        return Decimal(0), "the bars are not known yet, the price cannot be compared with the last close"
    trades = trades_today(session, now_ms, without=parent) if session.risk.max_trades_per_day else 0
    return admission.admitted(
        seat, quantity, price, quote, now_ms=now_ms, trades_today=trades, reference=seat.last_close
    )


def _note(seat: Seat, parent: ParentOrder, why: str, now_ms: int) -> None:
    """Keep why the rules hold a part of a parent order back, or that they no longer do."""
    if why:
        seat.held_ms = now_ms
    if parent.note != why[:200]:
        parent.note = why[:200]
        ParentOrder.objects.filter(pk=parent.pk, status=ParentStatus.WORKING).update(note=parent.note)


def is_at_work(session: LiveSession) -> bool:
    """Say whether a parent order of the session may still send orders, whatever its settings say by now."""
    return session.parents.filter(status=ParentStatus.WORKING).exists()


def tend_unseen(seat: Seat, now_ms: int) -> None:
    """Look after the parent order at work while the price is unknown.

    Nothing rests beyond its deadline, and no entry where the session may not enter any more. An exit that
    rests goes on, unless the session is to end with what it holds.

    :raises ExchangeError: see `work`.
    """
    session = seat.session
    parent = working(session)
    if parent is None:
        return
    may_enter = session.status == SessionStatus.RUNNING and session.risk_state == RiskState.ACTIVE
    is_exit = parent.side == Side.SELL and parent.children.resting().exists()
    if may_enter or (is_exit and not is_ending(session)):
        work(seat, None, now_ms)
    else:
        clear(seat, f"{session.status}, risk {session.risk_state}")


def is_ending(session: LiveSession) -> bool:
    """Say whether the session is to end with what it holds."""
    return session.status == SessionStatus.STOPPING and not session.flatten_wanted


def clear(seat: Seat, why: str) -> bool:
    """Withdraw what rests and give the parent order up; True when nothing of it is left on the venue.

    :raises ExchangeError: when it cannot be known what became of the resting order.
    """
    session = seat.session
    parent = working(session)
    if parent is None:
        return True
    child = parent.children.unsettled().first()
    if child is not None and not child.is_resting:
        return False  # it is not known yet what became of it: it may rest
    if child is not None:
        save_marks(session)
        now_ms = seat.exchange.now_ms()
        seat.clearing_ms = seat.clearing_ms or now_ms
        if now_ms > min(seat.clearing_ms, parent.until_ms) + OVERDUE_MS:
            _tell_overdue(session, child)
        settle.withdraw(child, seat.exchange)
        _looked(seat, child)
        if child.status == OrderStatus.OPEN:
            return False
    end(parent, ParentStatus.ENDED, why)
    return True


def make_room(seat: Seat, target: float | None) -> Room:
    """Say whether a decision's wish can be traded; an older one that differs is withdrawn for it."""
    parent = working(seat.session)
    if parent is None or target is None:
        return Room()
    if target == parent.target and seat.session.risk_state == RiskState.ACTIVE:
        return Room("an order towards this target is at work already")
    try:
        if clear(seat, "a newer decision"):
            return Room("", parent.side, parent.until_ms)
    except ExchangeError as error:
        return Room(f"the resting order could not be withdrawn: {error}")
    return Room("the resting order is still on the venue")


def withdraw_left(session: LiveSession, exchange: settle.Venue) -> None:
    """Withdraw what rests for a session that fails now; whoever drives the account next tries again."""
    for order in session.orders.resting():
        try:
            settle.withdraw(order, exchange)
        except ExchangeError as error:
            logger.warning("order %s rests on: %s", order.client_ref, error)
    end_all(session, "the session failed")


def end_all(session: LiveSession, note: str) -> None:
    """Give the session's parent orders up: it has ended."""
    session.parents.filter(status=ParentStatus.WORKING).update(status=ParentStatus.ENDED, note=note)


def end(parent: ParentOrder, status: str, note: str) -> None:
    """Close a parent order once."""
    mine = ParentOrder.objects.filter(pk=parent.pk, status=ParentStatus.WORKING)
    mine.update(status=status, note="" if note == "done" else note[:200])


def trades_today(session: LiveSession, now_ms: int, without: ParentOrder | None = None) -> int:
    """Count the trades since 00:00 UTC; the children of one parent order are one."""
    fills = session.fills.filter(filled_ms__gte=now_ms - now_ms % risk.DAY_MS)
    if without is not None:
        fills = fills.exclude(order__parent=without)
    made = fills.values_list("order__parent", "order")
    return len({("parent", parent) if parent else ("order", order) for parent, order in made})


def _seen(seat: Seat, parent: ParentOrder, quote: Quote | None) -> styles.Parent:
    session, left = seat.session, parent.left
    if parent.side == Side.SELL:
        left = min(left, max(session.held, Decimal(0)))
    elif quote is not None:
        left = min(left, styles.affordable(session.cash, quote.ask, risk.HEADROOM, seat.instrument))
    # A fee that is taken out of the coins leaves holdings, and what is left of a wish, between two steps.
    left = floor_to_step(left, Decimal(seat.instrument.step), Decimal(0))
    return styles.Parent(
        style=parent.style,
        buys=parent.side == Side.BUY,
        left=left,
        slices=tuple(Decimal(part) for part in parent.slices),
        sent=parent.children.filter(status=OrderStatus.FILLED).count(),
        planned_ms=parent.planned_ms,
        until_ms=parent.until_ms,
        late_ms=parent.until_ms + LATE_BARS * session.interval_ms,
    )


def _resting(parent: ParentOrder, child: Order | None) -> styles.Resting | None:
    if child is None or child.price is None:
        return None
    return styles.Resting(child.price, child.planned_ms, parent.looked_ms)


def _requote_ms(session: LiveSession) -> int:
    """Return the least time between two prices: sessions that share an account share its calls."""
    others = ParentOrder.objects.filter(session__account=session.account_id, status=ParentStatus.WORKING)
    return int(1000 * execution_of(session).requote_s) * max(1, others.count())


def _touch(parent: ParentOrder, now_ms: int) -> None:
    parent.looked_ms = now_ms
    ParentOrder.objects.filter(pk=parent.pk).update(looked_ms=now_ms)


def _looked(seat: Seat, child: Order) -> None:
    """Take over what a look has booked."""
    settled(seat.session)
    if child.status != OrderStatus.OPEN:
        seat.is_checked = False
        seat.clearing_ms = 0
        alerts.close_alert(seat.session.owner, f"resting:{seat.session.pk}")


def _tell_overdue(session: LiveSession, child: Order) -> None:
    text = (
        f"{session}: the order {child.side} {child.quantity.normalize():f} {child.pair} should have been "
        "cancelled, but the venue still shows it or does not answer. It is tried again on every turn."
    )
    alerts.raise_alert(
        session.owner, AlertLevel.WARNING, f"resting:{session.pk}", text, session, kind=AlertKind.ORDER
    )
