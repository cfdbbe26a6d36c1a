"""How much a session has traded on a UTC day, and whether that is all it may."""

from decimal import Decimal

from trading import risk
from trading.execution import Execution
from trading.models import LiveSession
from trading.numbers import exact


def spent(session: LiveSession, now_ms: int) -> str:
    """Return why the session only leaves positions for the rest of the UTC day, or an empty string."""
    budget = Execution.from_dict(session.settings).turnover_budget
    if not budget or session.day_equity <= 0:
        return ""
    turnover = turnover_today(session, now_ms)
    if turnover < exact(budget):
        return ""
    return f"turnover of {turnover:.2f} times the day's equity, {budget:g} is the budget: exits only"


def turnover_today(session: LiveSession, now_ms: int) -> Decimal:
    """Return the notional traded since 00:00 UTC as a multiple of the equity the day began with."""
    fills = session.fills.filter(filled_ms__gte=day_start(now_ms)).values_list("quantity", "price")
    notional = sum((abs(quantity) * price for quantity, price in fills), Decimal(0))
    return notional / session.day_equity if session.day_equity > 0 else Decimal(0)


def day_start(now_ms: int) -> int:
    return now_ms - now_ms % risk.DAY_MS
