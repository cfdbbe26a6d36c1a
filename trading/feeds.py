"""Sessions of one source, pair, interval and set of features share their bars: each bar is computed once.

Everything here runs under the runner's baton, which is passed on while a candle source is asked.
"""

from weakref import WeakValueDictionary

import numpy as np

from market.plans import average_true_range
from trading.bars import BarFeed, Shown, TickBars

Key = tuple[str, str, int, str, int, int]


class Follower:
    """One session's place in the bars of a feed.

    It shows the feed as of its own last `advance`, however far others have taken it since: a decision that
    waits for its network or its venue goes on with the bars it began with.
    """

    def __init__(self, feed: BarFeed, feeds: "Feeds") -> None:
        self.feed, self._feeds = feed, feeds
        self._shown: Shown | None = None

    @property
    def market(self) -> str:
        """Return the name of where the bars come from, see `Account.bars`."""
        return self.feed.market

    @property
    def ticks(self) -> TickBars:
        return self.feed.ticks

    @property
    def shown(self) -> Shown:
        """Return what was there at the last advance. Not before the first that returned a bar."""
        assert self._shown is not None  # noqa: S101  for the type checker
        return self._shown

    @property
    def last_ms(self) -> int:
        """Return the start of the newest bar taken in, 0 before the first."""
        return self._shown.open_ms[-1] if self._shown else 0

    @property
    def closes(self) -> np.ndarray:
        """Return the newest closes, oldest first."""
        return self.shown.closes

    def average_range(self, bars: int) -> float:
        """Return the average true range at the newest close, see `market.plans`; 0 while bars are missing."""
        ranges = self.shown.ranges
        if len(ranges) <= bars:
            return 0.0
        high, low, close = ranges[-(bars + 1) :].T
        return float(average_true_range(high, low, close, bars)[-1])

    @property
    def ahead(self) -> Shown | None:
        """Return what the next advance will show, if others have taken the feed further already."""
        return self.feed.shown if self.feed.last_ms > self.last_ms else None

    def is_asked_for(self, now_ms: int) -> bool:
        """Say whether another session asks the source for what this one is going to need, or is about to."""
        feed = self.feed
        return feed.asking > 0 or (feed.promised > 0 and feed.last_ms < feed.newest_closed_ms(now_ms))

    def newest_closed_ms(self, now_ms: int) -> int:
        """Return the start of the newest bar that is closed at `now_ms`."""
        return self.feed.newest_closed_ms(now_ms)

    def advance(self, now_ms: int) -> list[int]:
        """Return the starts of the bars closed since the last call, oldest first; at first the newest only.

        :raises SourceUnavailable: see `BarFeed.advance`.
        :raises TooFewBars: see there.
        """
        if self.feed.advance(now_ms):
            self._feeds.bars += 1
        if self.feed.last_ms <= self.last_ms or self.feed.last_ms > self.newest_closed_ms(now_ms):
            return []  # nothing new, or others were asked later than this and are a bar ahead: next turn
        after_ms, self._shown = self.last_ms, self.feed.shown
        times = self._shown.open_ms
        return [open_ms for open_ms in times if open_ms > after_ms] if after_ms else [times[-1]]


class Feeds:
    """The feeds of a process, each for as long as somebody follows it."""

    def __init__(self) -> None:
        self.bars = 0  # grows whenever a feed takes in what has closed
        self._known: WeakValueDictionary[Key, BarFeed] = WeakValueDictionary()

    def shared(self, feed: BarFeed) -> BarFeed:
        """Return the feed that stands for `feed` here."""
        key = (feed.market, feed.pair, feed.interval_ms, feed.feature_set.hash, feed.window, feed.keep)
        return self._known.setdefault(key, feed)
