"""A session's limits at work: when to leave, how large an order may be, when to stop for a person.

Risk states and breakers are in `breakers.py`, the guards of entries in `entry.py`. Everything acts on equity
marked at the price it could sell at now. The arithmetic is the kernel's, with Decimal.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from market.kernel import breakers, portfolio, rebalance, risk
from market.kernel.guards import Entry
from market.kernel.instrument import Instrument
from trading import entry as entries
from trading import positions
from trading.breakers import state_of
from trading.exchanges.port import Quote
from trading.models import LiveSession, RiskProfile, RiskState
from trading.numbers import exact

DAY_MS = 86_400_000
CAPS = attrgetter(*breakers.OrderCaps._fields)  # of a profile
REACHED = "nothing to trade: the target is reached already"
ZERO = Decimal(0)
HEADROOM = Decimal("0.002")  # of the price, left free by a purchase because the touch moves before it fills
RAISED = 1 + HEADROOM  # times the price is what a purchase reckons with
EXITS_ONLY = {RiskState.REDUCING.value, RiskState.HALTED.value}


class Sized(NamedTuple):
    """An order that passed the rules: signed quantity (0: none), expected touch, what was cut and why."""

    quantity: Decimal
    price: Decimal
    reason: str
    target: Decimal | None = None  # exposure the rules on size left of the wish; None: no order is due


def nothing(quote: Quote, reason: str) -> Sized:
    """Return no order, and why."""
    return Sized(ZERO, quote.mid, reason)


def unusable(quote: Quote | None, now_ms: int, profile: RiskProfile) -> str:
    """Say why a quote cannot be decided on; empty when it can."""
    if quote is None:
        return "the venue shows no price"
    if quote.bid <= 0 or quote.ask <= 0 or quote.bid > quote.ask:
        return f"the book is crossed or empty (bid {quote.bid}, ask {quote.ask})"
    age_s = (now_ms - quote.at_ms) / 1000
    if quote.is_still:
        return f"the prices of the whole venue have stood still for more than {age_s // 60 * 60:.0f} s"
    if age_s > profile.max_stale_s:
        return f"the price is {age_s:.0f} s old, {profile.max_stale_s:g} s is allowed"
    return ""


def exit_price(held: Decimal, quote: Quote) -> Decimal:
    """Return the price a position could be left at now."""
    return quote.bid if held >= 0 else quote.ask


def last_exit_price(session: LiveSession) -> Decimal:
    """Return the last price seen at which the position could have been left."""
    return (session.bid if session.held >= 0 else session.ask) or session.price


def exits_only(sized: Sized, session: LiveSession, instrument: Instrument, why: str) -> Sized:
    """Return an order cut to what leaves the position; `why` is added if that is less."""
    allowed, _ = risk.reduce_only(sized.quantity, session.held, Decimal(instrument.step), Decimal(0))
    if allowed == sized.quantity:
        return sized
    return sized._replace(quantity=allowed, reason="; ".join(filter(None, (sized.reason, why))))


def can_be_sent(quantity: Decimal, price: Decimal, instrument: Instrument) -> bool:
    """Say whether the venue would take an order of that size."""
    return risk.too_small(quantity, price, instrument.min_notional) == risk.OK


def is_flat(session: LiveSession, instrument: Instrument, price: Decimal) -> bool:
    """Say whether nothing is held that the venue would take an order for."""
    closing = rebalance.closing_quantity(session.held, instrument.step, Decimal(0))
    return not can_be_sent(closing, price, instrument)


def day_of(now_ms: int) -> date:
    """Return the UTC day of an instant."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


def size(
    session: LiveSession,
    target: float,
    quote: Quote,
    instrument: Instrument,
    *,
    trades_today: int,
    entry: Entry | None = None,
    conviction: float = 1.0,
    band: float = 0.0,
    is_sized: bool = False,
) -> Sized:
    """Return the order that moves the session towards a target exposure, within its limits.

    :param entry: what the entry guards look at; without it the quote counts as fresh
    :param conviction: the policy's probability of buying; scales the lots of an averaging cycle
    :param is_sized: leave the rules on size out; a contest's smallest trade has its size already
    :param band: change of exposure that the policy holds to be worth its costs
    """
    if target == 0 and session.held == ZERO:  # most wishes to leave; the rules would come to the same
        return Sized(ZERO, quote.bid, REACHED, exact(target))
    return _under_rules(
        session, target, quote, instrument, trades_today, entry, conviction, band, is_sized=is_sized
    )


def _under_rules(
    session: LiveSession,
    target: float,
    quote: Quote,
    instrument: Instrument,
    trades_today: int,
    entry: Entry | None,
    conviction: float,
    band: float,
    *,
    is_sized: bool,
) -> Sized:
    """See `size`: the whole of it, for wishes that may come to an order."""
    profile, mid = session.risk, quote.mid
    notes: list[str] = []
    wanted, code = risk.cap_exposure(exact(target), exact(profile.max_exposure))
    _note(notes, risk.REASONS[code])
    if not is_sized and positions.has_plan(profile):
        is_order, wanted, reasons = positions.sized(session, wanted, mid, instrument, conviction, band)
        notes += reasons
        if not is_order:
            return Sized(ZERO, mid, "; ".join(notes))
    cash, held, step, least = session.cash, session.held, instrument.step, instrument.min_notional
    equity = portfolio.equity(cash, held, mid)
    buys = wanted * equity > held * mid
    price = quote.ask if buys else quote.bid
    paid = price * RAISED if buys else price
    quantity = rebalance.order_quantity(wanted, cash, held, paid, step, least, instrument.taker_fee, ZERO)
    if quantity == ZERO or (quantity > ZERO) != buys:
        _note(notes, REACHED)
        return Sized(ZERO, price, "; ".join(notes), wanted)
    entry = entry or entries.entry_of(session, quote, now_ms=quote.at_ms, trades_today=trades_today)
    why = _only_exits(session) or entries.refusal(entry, profile)
    allowed, code = breakers.limited_order(
        quantity, held, price, equity, caps_of(profile), state_of(session), not why, step, ZERO
    )
    if allowed != quantity:
        _note(notes, why or breakers.REASONS[code])
    quantity = allowed
    if quantity != ZERO and risk.too_small(quantity, price, least):
        _note(notes, risk.REASONS[risk.MIN_NOTIONAL])
        quantity = ZERO
    return Sized(quantity, price, "; ".join(notes), wanted)


def caps_of(profile: RiskProfile) -> breakers.OrderCaps:
    return _caps(*CAPS(profile))


@lru_cache(maxsize=1024)
def _caps(*fractions: float) -> breakers.OrderCaps:
    return breakers.OrderCaps._make(map(exact, fractions))


def _only_exits(session: LiveSession) -> str:
    """Return why the session may only reduce its position now, or an empty string."""
    if session.risk_state in EXITS_ONLY:
        return f"the session is {session.risk_state}: exits only"
    return ""


def _note(notes: list[str], reason: str) -> None:
    if reason:
        notes.append(reason)
