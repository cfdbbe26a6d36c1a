"""What the runner does with orders that wait for a person: let them expire, or check them again and send."""

from django.db import transaction

from trading import admission, caps, purse, waiting
from trading.acting import carry_out
from trading.exchanges.port import Quote
from trading.models import Order, OrderStatus, RiskState, SessionStatus, Side
from trading.seat import Seat


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
            if why := refusal(seat, order, quote, now_ms, trades_today):
                waiting.refuse(order, f"approved, then not sent: {why}", quote.at_ms)
            else:
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


def refusal(seat: Seat, order: Order, quote: Quote, now_ms: int, trades_today: int) -> str:
    """Return why an approved order may not be sent now: the market has moved on while it waited."""
    session = seat.session
    quantity = order.quantity * Side(order.side).sign
    price = quote.ask if quantity > 0 else quote.bid
    paying = purse.needed(order.collateral or quantity * price, seat.instrument.taker_fee)
    left = purse.free_cash(session)
    if paying > left:
        return f"it would cost {paying:.2f}, {left:.2f} are left"
    _, why = admission.admitted(
        seat, quantity, price, quote, now_ms=now_ms, trades_today=trades_today,
        reference=order.expected_price, words="the price it was approved at",
    )  # fmt: skip
    if why:
        return why
    with transaction.atomic():  # a cap may have been set or lowered while it waited
        return caps.fitted(session, quantity, price, seat.instrument)[1]
