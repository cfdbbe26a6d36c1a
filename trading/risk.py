"""A session's limits at work: when to leave, how large an order may be, when to stop for a person.

ACTIVE -> REDUCING -> HALTED -> (a person) -> ACTIVE. A breached limit makes the session leave its position
(REDUCING); once it is flat it is HALTED. Everything acts on equity marked at the price it could sell at now.
The arithmetic is the kernel's, with Decimal.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from market.kernel import portfolio, rebalance, risk, triggers
from market.kernel.instrument import Instrument
from trading.exchanges.port import Quote
from trading.models import LiveSession, RiskProfile, RiskState

DAY_MS = 86_400_000
HEADROOM = Decimal("0.002")  # of the price, left free by a purchase because the touch moves before it fills


@dataclass(frozen=True, slots=True)
class Sized:
    """An order that passed the rules: signed quantity (0: none), expected touch, what was cut and why."""

    quantity: Decimal
    price: Decimal
    reason: str


def exact(fraction: float) -> Decimal:
    """Return the Decimal a person meant by a float: 0.02 is 0.02."""
    return Decimal(repr(float(fraction)))


def unusable(quote: Quote | None, now_ms: int, profile: RiskProfile) -> str:
    """Say why a quote cannot be decided on; empty when it can."""
    if quote is None:
        return "the venue shows no price"
    if quote.bid <= 0 or quote.ask <= 0 or quote.bid > quote.ask:
        return f"the book is crossed or empty (bid {quote.bid}, ask {quote.ask})"
    age_s = (now_ms - quote.at_ms) / 1000
    if age_s > profile.max_stale_s:
        return f"the price is {age_s:.0f} s old, {profile.max_stale_s:g} s is allowed"
    return ""


def exit_price(held: Decimal, quote: Quote) -> Decimal:
    """Return the price a position could be left at now."""
    return quote.bid if held >= 0 else quote.ask


def last_exit_price(session: LiveSession) -> Decimal:
    """Return the last price seen at which the position could have been left."""
    return (session.bid if session.held >= 0 else session.ask) or session.price


def can_be_sent(quantity: Decimal, price: Decimal, instrument: Instrument) -> bool:
    """Say whether the venue would take an order of that size."""
    return risk.too_small(quantity, price, instrument.min_notional) == risk.OK


def is_flat(session: LiveSession, instrument: Instrument, price: Decimal) -> bool:
    """Say whether nothing is held that the venue would take an order for."""
    closing = rebalance.closing_quantity(session.held, instrument.step, Decimal(0))
    return not can_be_sent(closing, price, instrument)


def follow_price(session: LiveSession, quote: Quote) -> str:
    """Move the guards along with the price; return why the position must be left now, or an empty string."""
    if session.held == 0 or session.entry_price == 0:
        return ""
    profile, price = session.risk, exit_price(session.held, quote)
    side = 1 if session.held > 0 else -1
    stop = triggers.stop_price(session.held, session.entry_price, exact(profile.stop_loss))
    take = triggers.take_price(session.held, session.entry_price, exact(profile.take_profit))
    trail = triggers.trail_stop(Decimal(0), session.high_water, exact(profile.trailing_stop), side)
    _, reason = triggers.bar_exit(session.held, session.entry_price, price, price, price, stop, take, trail)
    session.high_water = triggers.best_price(session.high_water, price, price, side)
    set_levels = [level for level in (stop, trail) if level > 0]
    session.stop_price = (max if side > 0 else min)(set_levels, default=Decimal(0))
    session.take_price = take
    return triggers.EXIT_REASONS[reason]


def breach(session: LiveSession, equity: Decimal) -> str:
    """Return which loss limit marked equity has reached, or an empty string."""
    profile = session.risk
    code = risk.daily_loss_breach(equity, session.day_equity, exact(profile.daily_loss))
    code = code or risk.drawdown_breach(equity, session.peak_equity, exact(profile.max_drawdown))
    return risk.REASONS[code]


def next_state(session: LiveSession, equity: Decimal, *, is_flat: bool) -> tuple[str, str]:
    """Return (risk state, reason) after marking equity; an empty reason stands for the one before."""
    state, reason = session.risk_state, ""
    if state == RiskState.ACTIVE and (why := breach(session, equity)):
        state, reason = RiskState.REDUCING, why
    if state == RiskState.REDUCING and is_flat:
        state = RiskState.HALTED
    return state, reason


def day_of(now_ms: int) -> date:
    """Return the UTC day of an instant."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


def size(
    session: LiveSession, target: float, quote: Quote, instrument: Instrument, *, trades_today: int
) -> Sized:
    """Return the order that moves the session towards a target exposure, within its limits."""
    profile = session.risk
    notes: list[str] = []
    wanted, code = risk.cap_exposure(exact(target), exact(profile.max_exposure))
    _note(notes, risk.REASONS[code])
    equity = portfolio.equity(session.cash, session.held, quote.mid)
    buys = wanted * equity > session.held * quote.mid
    price = quote.ask if buys else quote.bid
    quantity = rebalance.order_quantity(
        wanted,
        session.cash,
        session.held,
        price * (1 + HEADROOM) if buys else price,
        instrument.step,
        instrument.min_notional,
        instrument.taker_fee,
        Decimal(0),
    )
    if quantity == 0 or (quantity > 0) != buys:
        _note(notes, "nothing to trade: the target is reached already")
        return Sized(Decimal(0), price, "; ".join(notes))
    if quantity * session.held >= 0:  # the limits on size are for getting in, never for getting out
        quantity, code = risk.cap_order(
            quantity, price, equity, exact(profile.max_order_share), instrument.step, Decimal(0)
        )
        _note(notes, risk.REASONS[code])
    if why := _only_exits(session, quote, trades_today):
        allowed, _ = risk.reduce_only(quantity, session.held, instrument.step, Decimal(0))
        if allowed != quantity:
            _note(notes, why)
        quantity = allowed
    if quantity != 0 and risk.too_small(quantity, price, instrument.min_notional):
        _note(notes, risk.REASONS[risk.MIN_NOTIONAL])
        quantity = Decimal(0)
    return Sized(quantity, price, "; ".join(notes))


def _only_exits(session: LiveSession, quote: Quote, trades_today: int) -> str:
    """Return why the session may only reduce its position now, or an empty string."""
    profile = session.risk
    if session.risk_state != RiskState.ACTIVE:
        return f"the session is {session.risk_state}: exits only"
    spread = (quote.ask - quote.bid) / quote.mid
    if profile.max_spread and spread > exact(profile.max_spread):
        return f"the spread of {spread:.2%} is above {profile.max_spread:.2%}: exits only"
    if profile.max_trades_per_day and trades_today >= profile.max_trades_per_day:
        return f"{trades_today} trades today, {profile.max_trades_per_day} are allowed: exits only"
    return ""


def _note(notes: list[str], reason: str) -> None:
    if reason:
        notes.append(reason)
