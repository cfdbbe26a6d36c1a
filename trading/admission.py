"""What the rules leave of an entry that was decided earlier: price, position and equity have moved since."""

from decimal import Decimal

from market.kernel import breakers
from trading import entry, risk, turnover
from trading.exchanges.port import Quote
from trading.seat import Seat
from trading.weighing.books import equity_around


def admitted(
    seat: Seat,
    quantity: Decimal,
    price: Decimal,
    quote: Quote,
    *,
    now_ms: int,
    trades_today: int,
    reference: Decimal,
    words: str = "the last close",
) -> tuple[Decimal, str]:
    """Return (quantity, reason): a signed order cut to what entry guards, the day's turnover and order limits
    leave of it now.

    The caps over several sessions are not asked: see `caps.fitted`, inside the intent's transaction.

    :param price: what the order is expected to trade at
    :param reference: see `entry.entry_of`; `words` name it
    """
    session, profile = seat.session, seat.session.risk
    seen = entry.of_seat(seat, quote, now_ms=now_ms, trades_today=trades_today, reference=reference)
    why = entry.refusal(seen, profile, words) or turnover.spent(session, now_ms)
    equity = equity_around(session, quote.mid)
    allowed, code = breakers.limited_order(
        quantity, session.held, price, equity, risk.caps_of(profile), risk.state_of(session), not why,
        seat.instrument.step, Decimal(0),
    )  # fmt: skip
    return allowed, "" if allowed == quantity else why or breakers.REASONS[code]
