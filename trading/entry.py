"""Whether a session may open or enlarge its position now, and the sentence that says why not."""

from decimal import Decimal
from functools import lru_cache
from operator import attrgetter

from market.kernel import guards
from market.kernel.guards import Entry
from market.kernel.risk import OK
from trading.exchanges.port import Quote
from trading.models import LiveSession, RiskProfile
from trading.numbers import exact, percent
from trading.seat import Seat

EXITS = "exits only"
GUARDS = attrgetter(
    "entry_stale_s", "max_spread", "price_collar", "exit_cooldown_s", "loss_cooldown_s", "max_trades_per_day"
)


def limits_of(profile: RiskProfile) -> guards.Guards:
    return _limits(*GUARDS(profile))


@lru_cache(maxsize=1024)
def _limits(
    entry_stale_s: float,
    max_spread: float,
    price_collar: float,
    exit_cooldown_s: float,
    loss_cooldown_s: float,
    max_trades_per_day: int,
) -> guards.Guards:
    return guards.Guards(
        max_age_ms=int(entry_stale_s * 1000),
        max_spread=exact(max_spread),
        price_collar=exact(price_collar),
        exit_cooldown_ms=int(exit_cooldown_s * 1000),
        loss_cooldown_ms=int(loss_cooldown_s * 1000),
        max_trades_per_day=max_trades_per_day,
    )


def entry_of(
    session: LiveSession,
    quote: Quote,
    *,
    now_ms: int,
    trades_today: int,
    reference: Decimal = Decimal(0),
    rate: float = 1.0,
) -> Entry:
    """Return what the guards look at.

    :param reference: the price the quote is compared with: the last close, or an approved order's; 0: none
    :param rate: venue seconds per real second; a price ages in real time
    """
    mid, exit_ms, loss_ms = quote.mid, session.last_exit_ms, session.last_loss_ms
    return Entry(  # by place: names would take as long as all the rest
        (now_ms - quote.at_ms) / (rate if rate > 1 else 1.0),
        (quote.ask - quote.bid) / mid,
        guards.deviation(mid, reference),
        now_ms - exit_ms if exit_ms else -1,
        now_ms - loss_ms if loss_ms else -1,
        trades_today,
    )


def of_seat(
    seat: Seat, quote: Quote, *, now_ms: int, trades_today: int, reference: Decimal | None = None
) -> Entry:
    """Return what the guards look at by now: the price has aged while the turn waited for others.

    :param now_ms: of the turn
    :param reference: see `entry_of`; None: the last close
    """
    return entry_of(
        seat.session, quote, now_ms=seat.by_now(now_ms), trades_today=trades_today, rate=seat.clock_rate,
        reference=seat.last_close if reference is None else reference,
    )  # fmt: skip


def too_old(seat: Seat, quote: Quote, now_ms: int) -> str:
    """Return why the price has become too old to enter on, or an empty string. Asks nobody."""
    seen = of_seat(seat, quote, now_ms=now_ms, trades_today=0)
    is_old = seen.age_ms > limits_of(seat.session.risk).max_age_ms
    return f"{_stale(seen, seat.session.risk)}: {EXITS}" if is_old else ""


def refusal(entry: Entry, profile: RiskProfile, reference: str = "the last close") -> str:
    """Return why nothing may be entered now, or an empty string.

    :param reference: in words, what the entry's price was compared with
    """
    code = guards.entry_refusal(entry, limits_of(profile))
    if code == OK:
        return ""
    said = {
        guards.STALE: _stale(entry, profile),
        guards.WIDE_SPREAD: f"the spread of {percent(entry.spread)} is above {percent(profile.max_spread)}",
        guards.OFF_PRICE: f"the price is {percent(entry.deviation)} away from {reference}, "
        f"{percent(profile.price_collar)} is allowed",
        guards.AFTER_EXIT: f"{_seconds(entry.since_exit_ms)} since the last exit, "
        f"{profile.exit_cooldown_s:g} s must pass",
        guards.AFTER_LOSS: f"{_seconds(entry.since_loss_ms)} since the last loss, "
        f"{profile.loss_cooldown_s:g} s must pass",
        guards.BUSY_DAY: f"{entry.trades_today} trades today, {profile.max_trades_per_day} are allowed",
    }
    return f"{said[code]}: {EXITS}"


def _stale(entry: Entry, profile: RiskProfile) -> str:
    return f"the price is {_seconds(entry.age_ms)} old, entries need {profile.entry_stale_s:g} s"


def _seconds(span_ms: float) -> str:
    return f"{span_ms / 1000:.1f} s"
