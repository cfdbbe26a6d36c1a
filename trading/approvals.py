"""What the runner does with orders that wait for a person: let them expire, or check them again and send."""

from decimal import Decimal

from django.db import transaction

from market.kernel import shorts
from trading import admission, caps, legs, purse, risk, styles, waiting
from trading.acting import carry_out
from trading.exchanges.port import Quote
from trading.legs import Leg
from trading.models import Order, OrderStatus, RiskState, SessionStatus, Side
from trading.seat import Seat

LARGEST_CUT = Decimal("0.02")  # of what was approved; less than the rest is another order, and is refused


def follow(seat: Seat, quote: Quote, now_ms: int, trades_today: int) -> None:
    """Take the next step with every order of the session that was held back.

    While the session is paused an approved order goes on waiting, as long as it has time.
    """
    if not seat.may_wait:
        return
    rows = waiting.held_back(seat.session)
    seat.may_wait = bool(rows)
    for order in rows:
        if why := _over(order, seat):
            waiting.refuse(order, why, quote.at_ms)
        elif order.status == OrderStatus.APPROVED and seat.session.status == SessionStatus.RUNNING:
            leg, why = covered(seat, order, quote, now_ms)
            why = why or refusal(seat, order, leg, quote, now_ms, trades_today)
            if why:
                waiting.refuse(order, f"approved, then not sent: {why}", quote.at_ms)
            elif _cut(order, leg):
                carry_out(seat, order, quote)


def _over(order: Order, seat: Seat) -> str:
    session = seat.session
    if session.risk_state in (RiskState.REDUCING, RiskState.HALTED):
        return f"the session is {session.risk_state}"
    if not waiting.is_expired(order):
        return ""
    if order.status == OrderStatus.WAITING:
        return f"nobody approved it within {session.risk.approval_s:g} s"
    return "approved, but its time was over before it could be sent"


def covered(seat: Seat, order: Order, quote: Quote, now_ms: int) -> tuple[Leg, str]:
    """Return (order, reason): an approved order as it is, or cut to what the session's cash covers by now.

    Prices move while it waits, so all of the cash buys a little less. The reason says why it cannot be cut:
    more than `LARGEST_CUT` would be missing, or the venue takes no such order.
    """
    side, left = Side(order.side), purse.free_cash(seat.session)
    leg, price = Leg(side, order.quantity, order.collateral, order.step), _touch(side, quote)
    paying = purse.needed(order.collateral or order.quantity * price, seat.instrument.taker_fee)
    if paying <= left:
        return leg, ""
    cut = Leg(side, min(order.quantity, _affordable(seat, side, left, price)))
    if not seat.exchange.has_client_ids:
        cut = legs.distinct(seat.session, cut, price, seat.instrument, now_ms)
    is_too_little = cut.quantity < order.quantity * (1 - LARGEST_CUT)
    if is_too_little or not risk.can_be_sent(cut.quantity, price, seat.instrument):
        return leg, f"it would cost {paying:.2f}, {left:.2f} are left"
    return cut, ""


def _affordable(seat: Seat, side: Side, left: Decimal, price: Decimal) -> Decimal:
    if side.is_short:
        rules = seat.instrument
        return shorts.coverable(left, price, Decimal(rules.taker_fee), Decimal(rules.step))
    return styles.affordable(left, price, risk.HEADROOM, seat.instrument)


def _touch(side: Side, quote: Quote) -> Decimal:
    return quote.ask if side.sign > 0 else quote.bid


def _cut(order: Order, leg: Leg) -> bool:
    """Store what is left of an approved order; False if a person has just taken the yes back."""
    if leg.quantity == order.quantity and leg.collateral == order.collateral:
        return True
    before = f"{order.quantity.normalize():f}"
    answer = f"approved; cut from {before} to {leg.quantity.normalize():f}, which its cash covers by now"
    changes = {"quantity": leg.quantity, "collateral": leg.collateral, "step": leg.step, "answer": answer}
    if not Order.objects.filter(pk=order.pk, status=OrderStatus.APPROVED).update(**changes):
        return False
    for name, value in changes.items():
        setattr(order, name, value)
    return True


def refusal(seat: Seat, order: Order, leg: Leg, quote: Quote, now_ms: int, trades_today: int) -> str:
    """Return why an approved order may not be sent now: the market has moved on while it waited."""
    price = _touch(leg.side, quote)
    _, why = admission.admitted(
        seat, leg.signed, price, quote, now_ms=now_ms, trades_today=trades_today,
        reference=order.expected_price, words="the price it was approved at",
    )  # fmt: skip
    if why:
        return why
    with transaction.atomic():  # a cap may have been set or lowered while it waited
        return caps.fitted(seat.session, leg.signed, price, seat.instrument)[1]
