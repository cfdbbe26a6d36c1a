"""Which stored series a person means."""

from collections.abc import Sequence
from typing import Any

from agents.spec import TrainingSpec
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
        if source and source != found.source:
            raise BadInput(f"series {series} comes from {found.source}, not from {source}", "source")
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


def find_members(owner: Any, spec: TrainingSpec) -> list[Series]:
    """Return the series that a run learns from: one, or those of a portfolio in the order of its pairs.

    :raises BadInput: as `find_series`, or when the series of a portfolio do not belong together
    """
    if not spec.is_portfolio:
        return [
            find_series(owner, series=spec.series, source=spec.source, pair=spec.pair, interval=spec.interval)
        ]
    if spec.basket:
        names: Sequence[str | None] = spec.pairs or [None] * len(spec.basket)
        found = [
            find_series(owner, series=pk, source=spec.source, pair=pair, interval=spec.interval)
            for pk, pair in zip(spec.basket, names, strict=True)
        ]
    else:
        found = [
            find_series(owner, source=spec.source, pair=pair, interval=spec.interval) for pair in spec.pairs
        ]
    if len({one.pair for one in found}) < len(found):
        raise BadInput("a portfolio holds every pair once: choose series of different pairs", "pairs")
    if len({one.interval_ms for one in found}) > 1:
        raise BadInput("all series of a portfolio must have the same interval", "pairs")
    if len({one.pair.rpartition("/")[2] for one in found}) > 1:
        raise BadInput(
            "all pairs of a portfolio must have the same quote currency: there is one cash", "pairs"
        )
    return found


def _agreeing(found: Series, pair: str | None, interval: str | None) -> Series:
    if pair and pair.upper() != found.pair:
        raise BadInput(f"series {found.pk} holds {found.pair}, not {pair}", "pair")
    if interval and interval != found.interval:
        raise BadInput(f"series {found.pk} has the interval {found.interval}, not {interval}", "interval")
    if not found.rows:
        raise BadInput(f"series {found.pk} holds no candles yet: import some first", "series")
    return found
