"""Which order a wish becomes at a venue where a short is a position of its own.

One order never crosses flat: it buys, sells, opens a short or closes one. What lies beyond flat is a second
order, decided once the first one is proven.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from market.kernel import shorts
from market.kernel.instrument import Instrument, floor_to_step
from trading import orders, purse, risk
from trading.models import LiveSession, Side
from trading.seat import Seat

ZERO = Decimal(0)
MOVED = Decimal("1.1")  # times a step's value: how far apart two collaterals stay if the price moves a tenth
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Leg:
    """One order: its side, its unsigned quantity, and what opening a short takes."""

    side: Side
    quantity: Decimal  # base units
    collateral: Decimal | None = None  # quote currency
    step: Decimal | None = None  # base units

    @property
    def signed(self) -> Decimal:
        return self.quantity * self.side.sign

    @property
    def is_closing(self) -> bool:
        return self.side in (Side.SELL, Side.SHORT_CLOSE)


def first_leg(session: LiveSession, quantity: Decimal, price: Decimal, instrument: Instrument) -> Leg:
    """Return the first order that a signed wish takes.

    What is held on the other side but too small to be traded does not count: it stays where it is.
    """
    if quantity > 0:
        if not risk.can_be_sent(session.shorted, price, instrument):
            return Leg(Side.BUY, quantity)
        is_all = quantity >= -session.held  # a rest of coins makes `held` less than what is sold short
        return Leg(Side.SHORT_CLOSE, session.shorted if is_all else min(quantity, session.shorted))
    coins = floor_to_step(session.held + session.shorted, Decimal(instrument.step), ZERO)
    if coins > 0 and risk.can_be_sent(coins, price, instrument):
        return Leg(Side.SELL, min(-quantity, coins))
    return Leg(Side.SHORT_OPEN, min(-quantity, _coverable(session, price, instrument)))


def _coverable(session: LiveSession, price: Decimal, instrument: Instrument) -> Decimal:
    """Return the largest short that the session's free cash covers."""
    fee, step = Decimal(instrument.taker_fee), Decimal(instrument.step)
    return shorts.coverable(purse.free_cash(session), price, fee, step)


def turns(session: LiveSession, leg: Leg, quantity: Decimal, price: Decimal, instrument: Instrument) -> bool:
    """Say whether a wish goes on beyond flat after its first order."""
    beyond = max(abs(quantity) - abs(session.held), ZERO)  # nothing, of an order that only makes it smaller
    return leg.is_closing and quantity * session.held < 0 and risk.can_be_sent(beyond, price, instrument)


def split(seat: Seat, sized: risk.Sized) -> tuple[risk.Sized, float | None]:
    """Return (what is ordered now, exposure to open once that is proven); None when one order does it all."""
    session, quantity = seat.session, sized.quantity
    if quantity == 0:
        return sized, None
    leg = first_leg(session, quantity, sized.price, seat.instrument)
    if turns(session, leg, quantity, sized.price, seat.instrument) and sized.target is not None:
        why = "turns: closes first, opens once the close is proven"
        seat.may_turn = True
        return _with(sized, leg.signed, why), float(sized.target)
    if leg.side.is_short and not leg.is_closing and leg.quantity < abs(quantity):
        return _with(sized, leg.signed, "short cut to the free cash, which is its collateral"), None
    return sized, None


def _with(sized: risk.Sized, quantity: Decimal, why: str) -> risk.Sized:
    return sized._replace(quantity=quantity, reason="; ".join(filter(None, (sized.reason, why))))


def distinct(session: LiveSession, leg: Leg, price: Decimal, instrument: Instrument, now_ms: int) -> Leg:
    """Return the order with figures that no other recent one of the account has.

    An exit that could not be sent so is sent whole: of two orders of ours with the same figures, the one that
    is settled is excluded by its id, and one that is proven absent may stand for the other.
    """
    step = Decimal(instrument.step)
    if leg.side != Side.SHORT_OPEN:
        found = orders.distinct_quantity(
            leg.quantity, step=step, session=session, side=leg.side, now_ms=now_ms
        )
        is_vetoed = leg.is_closing and not risk.can_be_sent(found, price, instrument)
        return leg if is_vetoed else replace(leg, quantity=found)
    gap = max(step * price * MOVED, 2 * CENT)
    collateral = orders.distinct_collateral(leg.quantity * price, gap=gap, session=session, now_ms=now_ms)
    return replace(
        leg, quantity=floor_to_step(collateral / price, step, ZERO), collateral=collateral, step=step
    )
