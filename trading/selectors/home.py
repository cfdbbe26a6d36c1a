"""The Home page: everything a person wants to know at a glance, in a handful of queries."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from django.db.models import Case, Count, F, Max, QuerySet, When, Window
from django.utils import timezone

from agents.models import Backtest, CouncilReview, TrainingRun
from market import leases
from market.kernel import metrics
from market.web.ownership import visible
from trading.models import Alert, AlertLevel, EquityPoint, LiveSession, SessionStatus
from trading.selectors.figures import DRIVEN, Figures, figures_of
from trading.selectors.session import with_latest

BUCKET_MS = 300_000  # Sharpe of the last day is taken over five-minute steps
LEAST_BUCKETS = 72  # six hours: an annualised ratio of less is one trade's luck, read as if it were a verdict
DAY_MS = 86_400_000
LISTED = 30


def home(user: Any, *, now: datetime | None = None) -> dict[str, Any]:
    """Return the context of the Home page."""
    now = now or timezone.now()
    sessions = list(with_latest(visible(LiveSession, user).driven()))
    curves = _day_curves(sessions) if len(sessions) <= LISTED else {}  # a day's points of hundreds take long
    rows = [_row(session, now, curves.get(session.pk)) for session in sessions]
    alerts = list(_loudest(open_alerts(user)).annotate(total=Window(Count("pk")))[:8])
    return {
        "rows": rows[:LISTED],
        "count": len(rows),
        "is_sharpe_left_out": len(rows) > LISTED,
        "totals": _totals(rows),
        "sharpe": _sharpe(_sum_of(list(curves.values()))),
        "stale": [row for row in rows if row.is_stale],
        "runs": visible(TrainingRun, user).unfinished().select_related("series")[:10],
        "backtests": visible(Backtest, user).unfinished().select_related("series", "model", "council")[:10],
        "reviews": visible(CouncilReview, user).unfinished().select_related("series", "council")[:10],
        "alerts": alerts,
        "alert_count": alerts[0].total if alerts else 0,
        "unguarded": [row for row in _failed(user) if not row.is_rest],
        "is_unwatched": bool(sessions) and not leases.is_held("watchdog"),
    }


def _failed(user: Any) -> QuerySet[LiveSession]:
    """Return what has failed with something left: nothing guards it."""
    return visible(LiveSession, user).filter(status=SessionStatus.FAILED).exclude(held=0)


def open_alerts(user: Any) -> QuerySet[Alert]:
    """Return what still needs a person, newest first."""
    return visible(Alert, user).filter(closed_at=None).select_related("session")


def _loudest(alerts: QuerySet[Alert]) -> QuerySet[Alert]:
    loudness = Case(
        When(level=AlertLevel.CRITICAL, then=0), When(level=AlertLevel.WARNING, then=1), default=2
    )
    return alerts.order_by(loudness, "-last_at")


def _row(session: LiveSession, now: datetime, curve: dict[int, float] | None) -> Figures:
    return figures_of(
        session,
        equity=session.latest_equity,  # type: ignore[attr-defined]
        decided_ms=session.decided_ms,  # type: ignore[attr-defined]
        now=now,
        sharpe=_sharpe(curve),
    )


def _totals(rows: Sequence[Figures]) -> list[dict[str, Any]]:
    """Return equity and PnL per currency: amounts in different currencies are never added."""
    sums: dict[str, dict[str, Any]] = {}
    for row in rows:
        total = sums.setdefault(
            row.currency, {"currency": row.currency, "equity": Decimal(0), "today": Decimal(0), "known": 0}
        )
        if row.equity is not None:
            total["equity"] += row.equity
            total["today"] += row.pnl_today or 0
            total["known"] += 1
    return [total for total in sums.values() if total["known"]]


def _day_curves(sessions: Sequence[LiveSession]) -> dict[int, dict[int, float]]:
    """Return {session: {bucket: equity}} over the last day of each session's own clock, in one query."""
    alive = [s for s in sessions if s.status in DRIVEN and s.price_ms]
    if not alive:
        return {}
    since = min(session.price_ms for session in alive) - DAY_MS
    points = EquityPoint.objects.filter(session__in=alive, at_ms__gte=since).order_by()
    last = points.annotate(bucket=F("at_ms") / BUCKET_MS).values("session", "bucket").annotate(n=Max("id"))
    floor = {session.pk: session.price_ms - DAY_MS for session in alive}
    curves: dict[int, dict[int, float]] = defaultdict(dict)
    for pk, at_ms, equity in EquityPoint.objects.filter(id__in=last.values("n")).values_list(
        "session_id", "at_ms", "equity"
    ):
        if at_ms >= floor[pk]:
            curves[pk][at_ms // BUCKET_MS] = float(equity)
    return dict(curves)


def _sum_of(curves: Sequence[dict[int, float]]) -> dict[int, float] | None:
    """Return the summed equity where all curves have been seen; None when their times do not overlap."""
    if not curves:
        return None
    if len(curves) == 1:
        return curves[0]
    start, end = max(min(curve) for curve in curves), min(max(curve) for curve in curves)
    total: dict[int, float] = defaultdict(float)
    for curve in curves:
        held = curve[max(bucket for bucket in curve if bucket <= start)] if start <= end else 0.0
        for bucket in range(start, end + 1):
            held = curve.get(bucket, held)
            total[bucket] += held
    return dict(total) or None


def _sharpe(curve: dict[int, float] | None) -> float | None:
    """Return the annualised Sharpe ratio of a bucketed curve; None below six hours or without movement."""
    if not curve or len(curve) < LEAST_BUCKETS:
        return None
    seen = np.array(sorted(curve))
    equity = np.array([curve[bucket] for bucket in seen.tolist()])
    return metrics.sharpe(metrics.returns(equity), metrics.pace(seen * BUCKET_MS, BUCKET_MS))
