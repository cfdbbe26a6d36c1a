"""What pages and the API show of the archive."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from django.db.models import Count, QuerySet, Sum

from market import archive
from market.models import Series

MOST_GAPS = 500


def series_list(user: Any) -> QuerySet[Any]:
    """Return the series `user` may see and that hold bars, each with `gap_count` and `missing` bars."""
    rows: QuerySet[Any] = Series.objects.visible_to(user).exclude(rows=0)
    return rows.annotate(gap_count=Count("gaps"), missing=Sum("gaps__missing", default=0))


def coverage(series: Series) -> dict[str, Any]:
    """Return what is there and what is absent: months, the longest gaps, counts. Three queries."""
    totals = series.gaps.aggregate(count=Count("pk"), missing=Sum("missing", default=0))
    longest = series.gaps.order_by("-missing", "from_ms").values("from_ms", "to_ms", "missing")
    return {
        "rows": series.rows,
        "missing": totals["missing"],
        "gap_count": totals["count"],
        "share": series.rows / max(1, series.rows + totals["missing"]),
        "gaps": list(longest[:MOST_GAPS]),
        "months": [_month(series, p.month, p.rows) for p in series.partitions.all()],
    }


def downsampled(series: Series, from_ms: int | None, to_ms: int | None, points: int) -> dict[str, Any]:
    """Return at most about `points` bars between from_ms and to_ms as lists, for a chart.

    Each stretch of time becomes one bar: first open, highest high, lowest low, last close, summed volume.
    Stretches start at multiples of their length and empty ones are absent, so gaps stay visible.
    """
    candles = archive.load(series, from_ms, to_ms)
    step = candles.interval_ms
    if len(candles) > points:
        span = int(candles.open_ms[-1] - candles.open_ms[0]) + step
        step *= -(-span // (max(1, points) * step))
    stretch = candles.open_ms // step
    first = np.flatnonzero(np.diff(stretch, prepend=-1)) if len(candles) else np.empty(0, dtype=np.int64)
    last = np.append(first[1:], len(candles)) - 1 if len(candles) else first
    return {
        "interval_ms": step,
        "t_ms": (stretch[first] * step).tolist(),
        "open": candles.open[first].tolist(),
        "high": np.maximum.reduceat(candles.high, first).tolist() if len(first) else [],
        "low": np.minimum.reduceat(candles.low, first).tolist() if len(first) else [],
        "close": candles.close[last].tolist(),
        "volume": np.add.reduceat(candles.volume, first).tolist() if len(first) else [],
    }


def _month(series: Series, month: date, rows: int) -> dict[str, Any]:
    """Return one month's bars against those there would be without gaps, inside the series' own span."""
    start = _midnight(month)
    end = _midnight(date(month.year + month.month // 12, month.month % 12 + 1, 1))
    first, last = max(start, series.first_ms or start), min(end, (series.last_ms or 0) + series.interval_ms)
    expected = -(-(last - first) // series.interval_ms)
    return {"month": f"{month:%Y-%m}", "rows": rows, "expected": expected, "missing": expected - rows}


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
