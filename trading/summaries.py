"""Every 24 hours of a session in one row, against buying and holding."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db import transaction

from market.kernel import metrics
from trading import contest, plans
from trading.alerts import announce
from trading.models import AlertKind, DailySummary, EquityPoint, LiveSession
from trading.risk import DAY_MS


def close_days(session: LiveSession, now_ms: int, *, is_end: bool = False) -> int:
    """Write a row for every stretch of 24 h since the start that is over; return when the next one will be.

    :param is_end: the session has ended: its last, shorter stretch is closed too.
    """
    if session.started_ms == 0:
        return 0
    last = session.days.order_by("-to_ms").values_list("to_ms", flat=True).first()
    from_ms = last or session.started_ms
    while from_ms + DAY_MS <= now_ms:
        _close(session, from_ms, from_ms + DAY_MS)
        from_ms += DAY_MS
    if is_end and now_ms > from_ms:
        _close(session, from_ms, max(now_ms, session.price_ms))
    return from_ms + DAY_MS


@transaction.atomic
def _close(session: LiveSession, from_ms: int, to_ms: int) -> None:
    # The very instant of a boundary belongs to the day that ends, that of the start to the first day.
    after_ms = from_ms - 1 if from_ms == session.started_ms else from_ms
    points = _points(session, after_ms, to_ms)
    if len(points) < 2:
        return
    columns = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
    times, equity, price, capital = columns
    fills = session.fills.filter(filled_ms__gt=after_ms, filled_ms__lte=to_ms)
    rows = list(fills.values_list("quantity", "price", "fee"))
    day, is_new = DailySummary.objects.get_or_create(
        session=session,
        from_ms=from_ms,
        defaults={
            "to_ms": to_ms,
            "pnl": points[-1][1] - points[0][1] - (points[-1][3] - points[0][3]),
            "fees": sum((row[2] for row in rows), start=points[0][1] * 0),
            "trades": len(rows),
            "metrics": {
                **_metrics(times.astype(np.int64), equity, capital, price, session.interval_ms, rows),
                **contest.score(session, to_ms),  # since the session's start: one day has no ratio
            },
        },
    )
    if is_new:
        _tell(day)


def _tell(day: DailySummary) -> None:
    session, found = day.session, day.metrics
    _, _, quote = session.pair.partition("/")
    until = datetime.fromtimestamp(day.to_ms / 1000, UTC)
    text = (
        f"{session}, until {until:%Y-%m-%d %H:%M} UTC: {day.pnl:+.2f} {quote} ({found['return']:+.2%}), "
        f"{day.trades} {'trade' if day.trades == 1 else 'trades'}, fees {day.fees:.2f} {quote}; buying and "
        f"holding {found['buy_and_hold_return']:+.2%}."
    )
    announce(session.owner, AlertKind.DAILY_REPORT, f"day:{session.pk}:{day.from_ms}", text, session)


def _points(session: LiveSession, after_ms: int, to_ms: int) -> list[tuple]:
    """Return (ms, equity, price, capital) from the last point before the stretch to its end."""
    names = ("at_ms", "equity", "price", "capital")
    points = EquityPoint.objects.filter(session=session, price__gt=0)
    inside = list(points.filter(at_ms__gt=after_ms, at_ms__lte=to_ms).order_by("at_ms").values_list(*names))
    before = points.filter(at_ms__lte=after_ms).order_by("-at_ms").values_list(*names).first()
    return plans.with_capital(session, [before, *inside] if before else inside)


def _metrics(
    times: np.ndarray,
    owned: np.ndarray,
    capital: np.ndarray,
    price: np.ndarray,
    interval_ms: int,
    fills: list[tuple],
) -> dict[str, Any]:
    equity = metrics.without_transfers(owned, capital)
    on_bars = np.flatnonzero(times % interval_ms == 0)
    on_bars = on_bars if len(on_bars) > 1 else np.arange(len(times))
    columns = [np.array([float(row[k]) for row in fills]) for k in range(3)]
    done = dict(zip(("quantity", "price", "fee"), columns, strict=True))
    found = metrics.summary(equity[on_bars], times[on_bars] - interval_ms, interval_ms, done)
    elapsed_ms = float(times[on_bars[-1]] - times[on_bars[0]])
    return {
        **found,
        "turnover_per_day": metrics.turnover_per_day(found["notional"], owned[on_bars], elapsed_ms),
        "return": float(equity[-1] / equity[0] - 1),
        "buy_and_hold_return": float(price[-1] / price[0] - 1),
    }
