"""Which stored series a person means."""

from typing import Any

from market.candles import MS
from market.errors import BadInput
from market.models import Series


def find_series(
    owner: Any,
    *,
    series: int | None = None,
    source: str | None = None,
    pair: str | None = None,
    interval: str | None = None,
) -> Series:
    """Return the one series that fits, among those `owner` may see; a pair alone will do if it has but one.

    :raises BadInput: when none or several fit, saying which there are
    """
    visible = Series.objects.visible_to(owner)
    if series is not None:
        found = visible.filter(pk=series).first()
        if found is None:
            raise BadInput(f"there is no series {series}", "series")
        return _agreeing(found, pair, interval)
    if not pair:
        raise BadInput("name the candles: a series, or a pair and an interval", "series")
    if interval and interval not in MS:
        raise BadInput(f"interval must be one of {', '.join(MS)}, not {interval!r}", "interval")
    meant = f"{pair} {interval or ''}".strip()
    fitting = visible.filter(pair=pair.upper()).exclude(rows=0)
    fitting = fitting.filter(interval_ms=MS[interval]) if interval else fitting
    found_all = list(fitting.filter(source=source) if source else fitting)
    if not found_all:
        known = ", ".join(sorted({f"{s.pair} {s.interval}" for s in visible.exclude(rows=0)[:200]})) or "none"
        raise BadInput(f"there are no candles of {meant}; import them first (known: {known})", "pair")
    if len(found_all) > 1:
        several = ", ".join(f"{found.pk} ({found.interval}, {found.source})" for found in found_all)
        raise BadInput(f"several series hold {meant}: choose one by its id: {several}", "series")
    return found_all[0]


def _agreeing(found: Series, pair: str | None, interval: str | None) -> Series:
    if pair and pair.upper() != found.pair:
        raise BadInput(f"series {found.pk} holds {found.pair}, not {pair}", "pair")
    if interval and interval != found.interval:
        raise BadInput(f"series {found.pk} has the interval {found.interval}, not {interval}", "interval")
    if not found.rows:
        raise BadInput(f"series {found.pk} holds no candles yet: import some first", "series")
    return found
