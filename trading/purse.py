"""What of an account's free money no session owns yet. Sessions on one account share one purse."""

from collections import defaultdict
from decimal import ROUND_FLOOR, Decimal

from market.errors import BadInput
from market.kernel import shorts
from trading.books import booked_of, coins
from trading.models import Holding, LiveSession, Order, Side

CENT = Decimal("0.01")
MOST_LOCKED = Decimal("1.002")  # of a resting purchase's value, its fee included
ENOUGH = Decimal("0.999")  # of its cash: fees that the venue rounds in its own way are corrected by cents


def capital_of(session: LiveSession, free: Decimal, min_notional: Decimal | float) -> Decimal:
    """Return what a session may start with: what it asks for, or all that is free.

    :param session: not started, perhaps not saved yet.
    :param free: what the venue says is free of the pair's quote currency.
    :raises BadInput: when that is not there, or too little for a single order.
    """
    _, coin = coins(session.pair)
    available = max(free - given(session) + resting(session), Decimal(0)).quantize(CENT, ROUND_FLOOR)
    capital = available if session.capital is None else session.capital
    wanted = coin if session.capital is None else f"{session.capital.normalize():f} {coin}"
    if capital > available or (session.capital is None and capital <= min_notional):
        raise BadInput(
            f"the session needs {wanted}, but only {available.normalize():f} {coin} of the account are "
            "free: give it less capital, or stop another session",
            field="capital",
        )
    if capital <= min_notional:
        raise BadInput(
            f"a capital of {wanted} is too small: {session.pair} takes no order of "
            f"{Decimal(min_notional).normalize():f} {coin} or less",
            field="capital",
        )
    return capital


def given(session: LiveSession) -> Decimal:
    """Return how much of the money of a session's account and quote currency belongs to others."""
    return sum((_claim(other) for other in _others(session)), Decimal(0))


def resting(session: LiveSession) -> Decimal:
    """Return how much of what belongs to others rests in their purchases: the venue calls that free no more.

    Some venues lock the fee as well, so it is the most that can be locked of it.
    """
    orders = Order.objects.resting().filter(account=session.account_id, side=Side.BUY)
    bought: dict[int, Decimal] = defaultdict(Decimal)
    for order in orders.exclude(price=None):
        left = order.quantity - booked_of(order).quantity
        bought[order.session_id] += left * (order.price or 0) * MOST_LOCKED
    if not bought:
        return Decimal(0)
    return sum((min(bought[other.pk], _claim(other)) for other in _others(session)), Decimal(0))


def _others(session: LiveSession) -> list[LiveSession]:
    _, coin = coins(session.pair)
    others = LiveSession.objects.driven().filter(account=session.account_id).exclude(pk=session.pk)
    return [other for other in others if coins(other.pair)[1] == coin]


def booked(session: LiveSession) -> Decimal:
    """Return what the books hold of a session's quote currency, without proceeds that nobody has seen."""
    row = Holding.objects.filter(account=session.account_id, coin=coins(session.pair)[1]).first()
    return row.quantity if row else Decimal(0)


def lacks(session: LiveSession) -> Decimal:
    """Return how much of a session's cash others have been given since it last was driven; 0: none of it."""
    cash, available = free_cash(session), booked(session) - given(session)
    return Decimal(0) if available >= cash * ENOUGH else cash - max(available, Decimal(0))


def needed(notional: Decimal, fee_rate: Decimal | float, headroom: Decimal = Decimal(0)) -> Decimal:
    """Return the cash that an entry takes: its value with its fee.

    :param headroom: share set aside for a touch that moves before it fills
    """
    return notional * (1 + Decimal(fee_rate)) * (1 + headroom)


def _claim(other: LiveSession) -> Decimal:
    """Return how much of the account's free money belongs to another session."""
    if not other.started_ms:
        return other.capital or Decimal(0)
    return max(free_cash(other), Decimal(0))  # what one owes is no money for another


def free_cash(session: LiveSession) -> Decimal:
    """Return what of a session's cash the venue shows as free: no proceeds, no collateral of its short."""
    if not session.shorted:
        return session.cash
    entry = session.entry_price
    return shorts.free_cash(session.cash, shorts.Short(session.shorted, entry, session.shorted * entry))
