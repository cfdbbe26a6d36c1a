"""What the deciding session of a plan holds: the model, and the bars of all pairs at common times."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from agents.artefacts import load_weights
from agents.models import TrainedModel
from agents.policies.weights import NetworkWeights, Weighed
from agents.spaces import ActionSpec
from market.basket import LEAST_SHARED
from market.sources.port import DataSource, SourceUnavailable
from trading.bars import BarFeed
from trading.models import Account

SPARE = 4  # rows kept beyond the window, at least, because a pair may lack some of the bars


@dataclass(slots=True)
class Mind:
    """A portfolio's model and one feed per pair, in the model's order."""

    policy: NetworkWeights
    spec: ActionSpec  # of the model, before a risk profile caps it
    feeds: list[BarFeed]

    @property
    def window(self) -> int:
        return self.policy.observation.window

    @property
    def warm_from_ms(self) -> list[int]:
        return [feed.warm_from_ms for feed in self.feeds]

    def advance(self, now_ms: int) -> dict[str, str]:
        """Take in the bars that have closed; return {pair: why} of the pairs whose bars cannot be read.

        :raises TooFewBars: when the whole history of a pair is too short.
        """
        missing = {}
        for feed in self.feeds:
            try:
                feed.advance(now_ms)
            except SourceUnavailable as error:
                missing[feed.pair] = error.message
        return missing

    def rows(self, bar_ms: int) -> np.ndarray | None:
        """Return the raw rows of the `window` newest common bars up to one, float64 (W, k * F).

        None while they are not all there.
        """
        shown = [feed.shown for feed in self.feeds]
        if not all(one.is_warm for one in shown):
            return None
        times = [np.array(one.open_ms, dtype=np.int64) for one in shown]
        return joined(times, [one.rows for one in shown], bar_ms, self.window)

    def closes(self, bar_ms: int) -> list[float] | None:
        """Return each pair's close of one bar; None when a pair does not have it."""
        shown = [feed.shown for feed in self.feeds]
        if not all(bar_ms in one.open_ms for one in shown):
            return None
        return [float(one.closes[one.open_ms.index(bar_ms)]) for one in shown]

    def weigh(self, observation: np.ndarray, top: float) -> Weighed:
        """Return the model's opinion.

        :param top: the most that the weights may add up to, as the risk profile says
        """
        self.policy.action_spec = self.spec.capped(top)
        return self.policy.weigh(observation)


def mind_of(
    model: TrainedModel,
    *,
    account: Account,
    pairs: Sequence[str],
    source: DataSource | None,
) -> Mind:
    """Return the mind of a plan.

    :param account: of the plan; it says where the bars come from
    :param pairs: as the venue spells them, in the order of the model's
    :raises BadInput: when the model's files have changed, or it weighs no portfolio
    """
    policy = load_weights(model)
    needs = policy.observation
    kept = max(needs.window + SPARE, int(needs.window / LEAST_SHARED) + 1)
    feeds = [
        BarFeed(
            market=account.bars(with_volume=needs.feature_set.needs_volume),
            pair=pair,
            interval_ms=model.series.interval_ms,
            source=source,
            feature_set=needs.feature_set,
            window=kept,
            closes=kept,
        )
        for pair in pairs
    ]
    return Mind(policy, policy.action_spec, feeds)


def joined(
    times: Sequence[np.ndarray], rows: Sequence[np.ndarray], bar_ms: int, window: int
) -> np.ndarray | None:
    """Return the rows of all pairs side by side, at the newest common times up to a bar.

    :param times: of each pair, int64 (n,), ascending
    :param rows: of each pair, float64 (n, F)
    :return: float64 (window, k * F); None when there are too few, or the bar is not the newest of them
    """
    common = reduce(np.intersect1d, times)
    common = common[common <= bar_ms][-window:]
    if len(common) < window or common[-1] != bar_ms:
        return None
    parts = [row[np.searchsorted(time, common)] for time, row in zip(times, rows, strict=True)]
    found = np.concatenate(parts, axis=1)
    return None if np.isnan(found).any() else found
