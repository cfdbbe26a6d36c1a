"""A series made ready for learning: candles, features, split, a scaler fitted on the training part only."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from agents.envs.baskets import PackedBasket, packed_basket
from agents.envs.batched import PackedMarket, packed
from agents.envs.rows import atr_bars_of
from agents.envs.settings import EnvSettings
from agents.envs.stages import classes
from agents.evaluation.folds import require_folds
from agents.evaluation.split import Split, judging, split
from agents.policies.forecast import Forecasting
from agents.spec import TrainingSpec
from agents.spec.effect import largest_order
from market import archive, features
from market.archive.identity import join
from market.basket import aligned, taken
from market.candles import Candles
from market.errors import BadInput
from market.features import FeatureSet, Scaler
from market.models import Series


@dataclass(frozen=True, slots=True)
class Prepared:
    """`rows` are raw features of every candle, float64 (n, F), NaN before the warm-up is over.

    Nothing of the test part is here but its place in time: who trains cannot read it.
    """

    candles: Candles  # up to the end of the judging part
    rows: np.ndarray
    split: Split
    scaler: Scaler
    fingerprint: str  # SHA-256 of the candles used
    forecasting: Forecasting | None = None  # the scaler with a forecast behind it
    folded: np.ndarray | None = None  # forecasts out of fold of the bars to learn from, float32 (m,)
    test_ms: tuple[int, int] | None = None  # epoch ms, end excluded, of the sealed test part
    others: tuple[Candles, ...] = ()  # of a portfolio: the other pairs', at the same times as `candles`
    lows: tuple[float, ...] = ()  # lowest price of each pair, its bars that others lack included

    @property
    def train(self) -> tuple[Candles, np.ndarray]:
        """Return the candles to learn from and their scaled features, float32 (m, F)."""
        part = slice(self.split.train_from, self.split.train_to)
        if self.forecasting is None or self.folded is None:
            return self.candles[part], self.scaler.transform(self.rows[part])
        rows = self.forecasting.transform(self.rows[part])
        rows[:, -1] = self.folded
        return self.candles[part], rows

    @property
    def all_candles(self) -> tuple[Candles, ...]:
        """Return the candles of every pair."""
        return self.candles, *self.others

    @property
    def judged_fingerprint(self) -> str:
        """Return the SHA-256 of the judging part's candles."""
        part = slice(self.split.valid_from, self.split.valid_to)
        return join(archive.fingerprint(one[part]) for one in self.all_candles)

    @property
    def times(self) -> tuple[int, int, int]:
        """Return epoch ms: start of the bars learned from, their end, and the end of those that judge."""
        opens, step, at = self.candles.open_ms, self.candles.interval_ms, self.split
        train_end, valid_end = (int(opens[row - 1]) + step for row in (at.train_to, at.valid_to))
        return int(opens[at.train_from]), train_end, valid_end


def prepare(series: Series, spec: TrainingSpec) -> Prepared:
    """Load what a run asks for and check that it can be learned from.

    The candles of the test part only say where it begins and ends; nothing is computed from them.

    :raises BadInput: too few candles, also for a forecast's folds, a feature without value, volume that the
        source does not report
    """
    if spec.basket:
        return _prepared_basket(spec)
    candles = archive.load(series, spec.from_ms, spec.to_ms)
    feature_set = spec.feature_set()
    parts = split_for(len(candles), spec)
    require_folds(parts.train_to - parts.train_from, spec)
    seen = candles[: parts.valid_to]
    lows = _lows((seen,))
    require_roundings(spec, lows)
    require_volume(seen, feature_set, series)
    rows = features.cached(archive.fingerprint(seen), seen, feature_set)
    return replace(prepared(seen, rows, parts, spec), test_ms=_test_ms(candles, parts), lows=lows)


def _prepared_basket(spec: TrainingSpec) -> Prepared:
    """Return what `prepare` does, of a portfolio: rows are the bars that all pairs have."""
    members, names = members_of(spec.basket), spec.pair_names
    own = [archive.load(one, spec.from_ms, spec.to_ms) for one in members]
    times = taken(own[0], aligned(own, names)[0])  # of all pairs; says where the parts begin and end
    parts = split_for(len(times), spec)
    until = int(times.open_ms[parts.valid_to - 1]) + 1
    seen = [one.between(None, until) for one in own]
    lows = _lows(seen)
    require_roundings(spec, lows)
    candles, rows = basket_rows(members, seen, names, spec.feature_set())
    found = prepared(candles[0], rows, parts, spec, candles[1:])
    return replace(found, test_ms=_test_ms(times, parts), lows=lows)


def members_of(basket: Sequence[int]) -> list[Series]:
    """Return the series of a portfolio in its order. :raises BadInput: when one is no longer there"""
    found = Series.objects.in_bulk(list(basket))
    for pk in basket:
        if pk not in found:
            raise BadInput(f"there is no series {pk} any more, which the portfolio is made of", "basket")
    return [found[pk] for pk in basket]


def require_visible(owner: Any, series: Iterable[int]) -> None:
    """:raises BadInput: for candles that the owner of a run or backtest may not see, whatever named them"""
    wanted = set(series)
    seen = Series.objects.visible_to(owner).filter(pk__in=wanted).values_list("pk", flat=True)
    for pk in sorted(wanted - set(seen)):
        raise BadInput(f"there is no series {pk} among your candles: choose others", "series")


def basket_rows(
    members: Sequence[Series], own: Sequence[Candles], names: Sequence[str], feature_set: FeatureSet
) -> tuple[tuple[Candles, ...], np.ndarray]:
    """Return candles at common times and the raw features of all pairs side by side, (n, k * F).

    Features are those of each pair's own candles, so that a bar which another pair lacks is still seen.

    :raises BadInput: too few common bars, a feature without value, volume that a source does not report
    """
    parts = []
    for series, candles in zip(members, own, strict=True):
        require_volume(candles, feature_set, series)
        rows = features.cached(archive.fingerprint(candles), candles, feature_set)
        require_values(rows, feature_set, candles)
        parts.append(rows)
    at = aligned(own, names)
    found = tuple(taken(candles, rows) for candles, rows in zip(own, at, strict=True))
    return found, np.concatenate([part[rows] for part, rows in zip(parts, at, strict=True)], axis=1)


def market_of(prepared: Prepared, settings: EnvSettings) -> PackedMarket | PackedBasket:
    """Return the part to learn from as environments of these settings read it."""
    candles, rows = prepared.train
    if not prepared.others:
        return packed(candles, rows, atr_bars_of(settings))
    part = slice(prepared.split.train_from, prepared.split.train_to)
    return packed_basket((candles, *(one[part] for one in prepared.others)), rows)


def split_for(bars: int, spec: TrainingSpec) -> Split:
    """Return which of so many bars teach, judge and stay sealed. :raises BadInput: when they are too few"""
    return split(bars, window=spec.lookback, episode_bars=spec.episode_bars, **_shares(spec))


def judging_of(spec: TrainingSpec) -> Callable[[int], int]:
    """Return what says of a number of bars how many of them, all at their end, judge or stay sealed."""
    return partial(judging, **_shares(spec))


def _shares(spec: TrainingSpec) -> dict[str, Any]:
    return {
        "warmup": spec.feature_set().warmup,
        "share": spec.validation_share,
        "embargo": spec.completed().embargo_bars or 0,
        "test_share": spec.test_share,
    }


def bar_times(series: Series, spec: TrainingSpec) -> np.ndarray:
    """Return the open times of a spec's bars, epoch ms (n,); of a portfolio those that all pairs have."""
    if not spec.basket:
        return archive.load(series, spec.from_ms, spec.to_ms).open_ms
    own = [archive.load(one, spec.from_ms, spec.to_ms) for one in members_of(spec.basket)]
    return taken(own[0], aligned(own, spec.pair_names)[0]).open_ms


def _lows(own: Iterable[Candles]) -> tuple[float, ...]:
    return tuple(float(candles.low.min()) for candles in own)


def require_roundings(spec: TrainingSpec, lows: Sequence[float]) -> None:
    """:raises BadInput: for a tick above the price, or a step that no order could pay for

    :param lows: of every pair, as in `Prepared`
    """
    settings, most = spec.env_settings(), largest_order(spec)
    ticks, steps = settings.roundings() if settings.is_basket else ([settings.tick], [settings.step])
    for lowest, tick, step in zip(lows, ticks, steps, strict=True):
        if tick > lowest:
            raise BadInput(
                f"trading.tick: prices reach down to {lowest:g}, where a tick of {tick:g} leaves none to "
                "sell at: set the venue's, or 0",
                "trading.tick",
            )
        if step * lowest > most:
            raise BadInput(
                f"trading.step: no order could ever be placed, since one step of {step:g} costs at least "
                f"{step * lowest:g} and the largest order is worth {most:g}: set the venue's, or 0",
                "trading.step",
            )


def _test_ms(candles: Candles, parts: Split) -> tuple[int, int] | None:
    if parts.test_from == parts.test_to:
        return None
    first, last = candles.open_ms[[parts.test_from, parts.test_to - 1]].tolist()
    return first, last + candles.interval_ms


def prepared(
    candles: Candles, rows: np.ndarray, parts: Split, spec: TrainingSpec, others: tuple[Candles, ...] = ()
) -> Prepared:
    """Put candles and their features together with a scaler that has seen the teaching part only.

    :param rows: raw features of every candle, float64 (n, F); of a portfolio those of all pairs side by side
    :param others: of a portfolio, the other pairs' candles at the same times
    :raises BadInput: for a feature without value, or a curriculum that the candles have no stages for
    """
    require_values(rows, spec.feature_set(), candles)
    if spec.curriculum.stages != "off":
        classes(candles.close[parts.train_from : parts.train_to], spec.curriculum.look_back)
    scaler = Scaler.fit(rows[parts.train_from : parts.train_to], spec.scaler)
    prints = [archive.fingerprint(one) for one in (candles, *others)]
    return Prepared(candles, rows, parts, scaler, join(prints) if others else prints[0], others=tuple(others))


def require_volume(candles: Candles, feature_set: FeatureSet, series: Series) -> None:
    """:raises BadInput: when features need volume and the series has none"""
    if feature_set.needs_volume and not (candles.volume > 0).any():
        raise BadInput(
            f"the features need volume and {series} reports none: choose features without volume", "features"
        )


def require_values(rows: np.ndarray, feature_set: FeatureSet, candles: Candles) -> None:
    """:raises BadInput: naming the first feature and bar without a value"""
    bad = ~np.isfinite(rows[feature_set.warmup :])
    if bad.any():
        row, column = np.argwhere(bad)[0]
        when = np.datetime64(int(candles.open_ms[feature_set.warmup + row]), "ms")
        name = feature_set.names[column % len(feature_set)]
        raise BadInput(f"feature {name} has no value at {when} UTC: repair or import the candles", "features")
