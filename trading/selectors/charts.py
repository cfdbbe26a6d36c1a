"""Series for charts, thinned in the database: a page never receives more points than it has pixels."""

from typing import Any

from django.db.models import F, Max, QuerySet

from market.web.numbers import plain
from trading.models import EquityPoint, Fill, LiveSession

POINTS = 600
MAX_MARKS = 400
DAY_MS = 86_400_000


def chart(session: LiveSession, *, hours: float = 24.0, points: int = POINTS) -> dict[str, Any]:
    """Return price, equity, drawdown and exposure over the last `hours` of the venue's clock, with the fills.

    Times are epoch ms; lists have equal length; `marks` are fills.
    """
    until = session.price_ms or session.stopped_ms
    since = int(until - hours * 3_600_000) if hours else 0
    rows = thinned(session.equity_points.filter(at_ms__gte=since), since, until, points)
    worst = _worst_drawdowns(session, since, until, points)
    return {
        "t": [row.at_ms for row in rows],
        "price": [float(row.price) for row in rows],
        "equity": [float(row.equity) for row in rows],
        "drawdown": [worst.get(row.at_ms, row.drawdown) for row in rows],
        "exposure": [float(row.held * row.price / row.equity) if row.equity else 0.0 for row in rows],
        "marks": _marks(session, since),
        "currency": session.pair.rpartition("/")[2],
        "capital": None if session.capital is None else float(session.capital),
        "stop": float(session.stop_price) or None,
        "take": float(session.take_price) or None,
    }


def equity_series(session: LiveSession, *, points: int = 1000) -> list[dict[str, Any]]:
    """Return the whole equity curve, thinned, amounts as exact strings."""
    ends = session.equity_points.aggregate(last=Max("at_ms"))
    first = session.equity_points.order_by("at_ms").values_list("at_ms", flat=True).first()
    if first is None:
        return []
    rows = thinned(session.equity_points.all(), first, ends["last"], points)
    return [
        {
            "at_ms": row.at_ms,
            "equity": plain(row.equity),
            "cash": plain(row.cash),
            "held": plain(row.held),
            "price": plain(row.price),
            "drawdown": row.drawdown,
        }
        for row in rows
    ]


def thinned(rows: QuerySet[EquityPoint], since: int, until: int, points: int) -> list[EquityPoint]:
    """Return at most about `points` rows, the last of each equal stretch of time, oldest first."""
    kept = _buckets(rows, since, until, points).values("t")
    return list(rows.filter(at_ms__in=kept).order_by("at_ms"))


def _worst_drawdowns(session: LiveSession, since: int, until: int, points: int) -> dict[int, float]:
    """Return the deepest drawdown of each stretch: thinning must not hide a fall."""
    rows = session.equity_points.filter(at_ms__gte=since)
    buckets = _buckets(rows, since, until, points).annotate(worst=Max("drawdown"))
    return dict(buckets.values_list("t", "worst"))


def _buckets(rows: QuerySet[EquityPoint], since: int, until: int, points: int) -> QuerySet:
    width = max(1, (until - since) // max(2, points))
    return rows.order_by().annotate(bucket=F("at_ms") / width).values("bucket").annotate(t=Max("at_ms"))


def _marks(session: LiveSession, since: int) -> list[dict[str, Any]]:
    fills = Fill.objects.filter(session=session, filled_ms__gte=since).select_related("order")
    newest = fills.order_by("-id")[:MAX_MARKS]
    return [
        {
            "t": fill.filled_ms,
            "price": float(fill.price),
            "side": "BUY" if fill.quantity > 0 else "SELL",
            "text": f"{fill.order.reason}: {plain(abs(fill.quantity))} at {plain(fill.price)}",
        }
        for fill in reversed(newest)
    ]
