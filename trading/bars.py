"""Closed bars and feature rows of one live session, from a candle source or else from the quotes it saw.

Whatever the source says later, the first stored version of a bar counts for everybody whose bars come from
there (`Account.bars`): a decision can be replayed from the stored bars alone, from the bar its stream was
started at.
"""

import logging
from collections import deque
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from market.candles import COLUMNS, Candles
from market.errors import BadInput
from market.features import FeatureSet, Stream
from market.models import LiveBar
from market.plans import MOST_ATR_BARS
from market.sources.binance import Binance
from market.sources.port import DataSource, SourceUnavailable
from trading.models import Account
from trading.trail import Trail

logger = logging.getLogger(__name__)

GRACE = 4  # a bar the source has not yet is waited for one fourth of its length, then built from quotes
SOURCE_TIMEOUT_S = 3.0


class TooFewBars(Exception):
    """There is not enough history to warm the features up."""


@dataclass(slots=True)
class Building:
    """A bar made of the last prices seen while it is open."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    is_whole: bool  # quotes were being read before it began


class TickBars:
    """The two newest bars of a pair, built from quotes."""

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self.current: Building | None = None
        self.closed: Building | None = None

    def see(self, price: Decimal, at_ms: int) -> None:
        """Take one last price; an older one than the current bar's is left out."""
        start, value = at_ms - at_ms % self.interval_ms, float(price)
        now = self.current
        if now is None or start > now.open_ms:
            follows = now is not None and start == now.open_ms + self.interval_ms
            self.closed = now
            self.current = Building(start, value, value, value, value, is_whole=follows)
        elif start == now.open_ms:
            now.high, now.low, now.close = max(now.high, value), min(now.low, value), value

    def bar(self, open_ms: int) -> Building | None:
        """Return the closed bar that starts at `open_ms` if all of it was watched."""
        closed = self.closed
        return closed if closed and closed.open_ms == open_ms and closed.is_whole else None


def candle_source(account: Account) -> DataSource | None:
    """Return where the account's market has its candles, if anywhere. One try: the next turn is the retry."""
    if not account.candles_url:
        return None
    return Binance(account.candles_url, timeout_s=SOURCE_TIMEOUT_S, tries=1)


class Shown(NamedTuple):
    """What a feed holds at the close of its newest bar. The arrays are written no more."""

    open_ms: tuple[int, ...]  # of the bars `closes` are of
    rows: np.ndarray  # raw feature rows, float64 (window, F), oldest first
    is_warm: bool  # all the rows are there, without a gap
    closes: np.ndarray  # float64
    ranges: np.ndarray  # high, low, close, float64 (n, 3)
    warm_from_ms: int


class BarFeed:
    """Bars and feature rows of one source, pair and interval, kept just long enough to decide on.

    `rows` has shape (window, F) once `is_warm`; `closes` are the newest closes, oldest first. Several
    sessions may ask one feed by turns, each through a `feeds.Follower`, even while another's question waits
    for the source.

    `market` names the source, see `Account.bars`.
    """

    def __init__(
        self,
        *,
        market: str,
        pair: str,
        interval_ms: int,
        source: DataSource | None,
        feature_set: FeatureSet,
        window: int,
        closes: int,
    ) -> None:
        self.market, self.pair, self.interval_ms = market, pair, interval_ms
        self.source, self.feature_set = source, feature_set
        self.window, self.keep = window, max(window, closes)
        self.ticks = TickBars(interval_ms)
        self.warm_from_ms = 0
        self.asking = 0  # questions to the source under way
        self.promised = 0  # turns begun that have not come to asking yet
        self._stream: Stream | None = None
        self._times: deque[int] = deque(maxlen=self.keep)
        self._rows = Trail(window, len(feature_set))
        self._closes = Trail(self.keep)
        self._ranges = Trail(MOST_ATR_BARS + 1, 3)  # high, low, close
        self._shown: Shown | None = None
        self._is_warm = False

    @property
    def needed(self) -> int:
        """Return how many bars of history a first decision takes."""
        return max(self.feature_set.memory, self.feature_set.warmup + 1) + self.keep

    @property
    def is_warm(self) -> bool:
        """Say whether all rows of the window are there and the first of them lies behind the warm-up."""
        if not self._is_warm:  # and once it is warm it stays so
            bars = self._stream.bars if self._stream else 0
            enough = bars - self.window >= self.feature_set.warmup
            self._is_warm = len(self._rows) == self.window and enough
        return self._is_warm

    @property
    def last_ms(self) -> int:
        """Return the start of the newest bar taken in, 0 before the first."""
        return (self._stream.last_open_ms or 0) if self._stream else 0

    @property
    def shown(self) -> Shown:
        """Return what there is to decide on, made once a bar."""
        if self._shown is None:
            is_warm = self._is_warm or self.is_warm
            held = (
                tuple(self._times), self._rows.rows, is_warm, self._closes.rows, self._ranges.rows,
                self.warm_from_ms,
            )  # fmt: skip
            self._shown = tuple.__new__(Shown, held)  # `Shown(...)` costs a call of Python more
        return self._shown

    @property
    def rows(self) -> np.ndarray:
        return self.shown.rows

    @property
    def closes(self) -> np.ndarray:
        return self.shown.closes

    def newest_closed_ms(self, now_ms: int) -> int:
        """Return the start of the newest bar that is closed at `now_ms`."""
        return now_ms - now_ms % self.interval_ms - self.interval_ms

    def advance(self, now_ms: int) -> list[int]:
        """Take in every bar that has closed since the last call and return their starts, oldest first.

        :raises SourceUnavailable: when bars are missing and nothing else can stand in for them yet.
        :raises TooFewBars: when the source's whole history is too short.
        """
        due_ms = self.newest_closed_ms(now_ms)
        if self._stream is None:
            return self._start(due_ms, now_ms)
        if self.last_ms >= due_ms:
            return []
        bars = self._known(self.last_ms + self.interval_ms, due_ms, now_ms)
        bars = bars.between(self.last_ms + 1, due_ms + 1)  # somebody else may have taken them in meanwhile
        for at in range(len(bars)):
            values = [float(getattr(bars, name)[at]) for name in COLUMNS[1:]]
            self._push(int(bars.open_ms[at]), values)
        return [int(open_ms) for open_ms in bars.open_ms]

    def check(self, now_ms: int) -> None:
        """Ask the source, before a session exists, for what its start will need; nothing is stored.

        :raises TooFewBars: when the source's whole history is too short.
        :raises BadInput: when it has no such pair, or no volume where features need it.
        :raises SourceUnavailable: when it does not answer.
        """
        if self.source is None:
            return  # bars are built from quotes while it waits
        due_ms = self.newest_closed_ms(now_ms)
        first_ms, end_ms = self._first_ms(due_ms), due_ms + self.interval_ms
        found = self.source.candles(self.pair, self.interval_ms, first_ms, end_ms, now_ms=now_ms)
        times = np.union1d(found.open_ms, self._stored(first_ms, due_ms).open_ms)
        if len(times) + 1 < self.needed:  # the newest may still be missing: it is waited for
            raise self._too_few(len(times))
        if self.feature_set.needs_volume and not (found.volume > 0).any():
            raise BadInput(
                f"the features need volume and the candle source reports none of {self.pair}: choose a model "
                "without volume features",
                field="pair",
            )

    def _first_ms(self, due_ms: int) -> int:
        # A fifth more than needed, so that a few gaps in the history do not matter.
        return due_ms - self.interval_ms * (self.needed + self.needed // 5)

    def _too_few(self, found: int) -> TooFewBars:
        return TooFewBars(
            f"warming up needs {self.needed} closed bars of {self.pair} and the candle source has only "
            f"{found}: choose a model with a shorter memory, or start later"
        )

    def _start(self, due_ms: int, now_ms: int) -> list[int]:
        """Warm up: one history, computed in one go."""
        bars = self._known(self._first_ms(due_ms), due_ms, now_ms)
        if self._stream is not None:  # somebody else has begun meanwhile
            return self.advance(now_ms)
        if len(bars) < self.needed and self.source is not None:
            raise self._too_few(len(bars))
        if len(bars) < self.needed:
            return []
        bars = bars[len(bars) - self.needed :]
        stream = Stream(self.feature_set, self.interval_ms)
        rows = stream.start(bars)
        self._stream, self.warm_from_ms, self._shown = stream, int(bars.open_ms[0]), None
        self._times.extend(bars.open_ms[-self.keep :].tolist())
        self._rows.extend(rows)
        self._closes.extend(bars.close)
        self._ranges.extend(np.column_stack([bars.high, bars.low, bars.close]))
        return [int(bars.open_ms[-1])]

    def _push(self, open_ms: int, values: list[float]) -> None:
        if self._stream is None:
            return
        open, high, low, close, volume = values
        self._stream.push(open_ms, open, high, low, close, volume, self._rows.place())
        self._rows.take()
        self._shown = None
        self._times.append(open_ms)
        self._closes.append(close)
        self._ranges.append_numbers(high, low, close)

    def _known(self, first_ms: int, due_ms: int, now_ms: int) -> Candles:
        """Return the bars in [first_ms, due_ms], as stored; what is not stored yet is fetched and stored."""
        stored = self._stored(first_ms, due_ms)
        wanted = (due_ms - first_ms) // self.interval_ms + 1
        if len(stored) < wanted:
            self._fetch(self._first_absent(stored, first_ms), due_ms, now_ms)
            stored = self._stored(first_ms, due_ms)
        if self.source is not None and (not len(stored) or stored.open_ms[-1] < due_ms):
            self._wait_or_build(self._first_absent(stored, first_ms), due_ms, now_ms)
            stored = self._stored(first_ms, due_ms)
        return stored

    def _first_absent(self, stored: Candles, first_ms: int) -> int:
        expected = first_ms + np.arange(len(stored)) * self.interval_ms
        wrong = np.flatnonzero(stored.open_ms != expected)
        return int(expected[wrong[0]]) if len(wrong) else first_ms + len(stored) * self.interval_ms

    def _fetch(self, first_ms: int, due_ms: int, now_ms: int) -> None:
        if self.source is None:
            self._store_built(due_ms)
            return
        self.asking += 1
        try:
            found = self.source.candles(
                self.pair, self.interval_ms, first_ms, due_ms + self.interval_ms, now_ms=now_ms
            )
        except SourceUnavailable as error:
            if first_ms < due_ms or not self._store_built(due_ms):
                raise
            logger.warning("%s: %s; the bar of %s is built from quotes", self.pair, error.message, due_ms)
            return
        except BadInput as error:
            raise SourceUnavailable(error.message) from error
        finally:
            self.asking -= 1
        self._store([tuple(getattr(found, name)[at] for name in COLUMNS) for at in range(len(found))])

    def _wait_or_build(self, absent_ms: int, due_ms: int, now_ms: int) -> None:
        """Give the source a little time for the newest bar, then build it from quotes.

        One bar only: behind a hole it would be taken in as if nothing had happened in between.
        """
        late_ms = now_ms - due_ms - self.interval_ms
        is_early = late_ms < self.interval_ms // GRACE
        if is_early or absent_ms < due_ms or not self._store_built(due_ms):
            raise SourceUnavailable(
                f"the candle source has no bar of {self.pair} yet that closed {late_ms / 1000:.1f} s ago"
            )

    def _store_built(self, due_ms: int) -> bool:
        """Store the bar built from quotes; False when it was not watched whole or volume is needed."""
        built = self.ticks.bar(due_ms)
        if built is None or self.feature_set.needs_volume:
            return False
        values = astuple(built)
        self._store([(*values[:5], 0.0)], origin="ticks")
        return True

    def _store(self, rows: list[tuple], origin: str = "candles") -> None:
        key = {"market": self.market, "pair": self.pair, "interval_ms": self.interval_ms, "origin": origin}
        bars = [
            LiveBar(**key, open_ms=int(row[0]), **dict(zip(COLUMNS[1:], map(float, row[1:]), strict=True)))
            for row in rows
        ]
        LiveBar.objects.bulk_create(bars, ignore_conflicts=True, batch_size=500)

    def _stored(self, first_ms: int, last_ms: int) -> Candles:
        return stored_bars(self.market, self.pair, self.interval_ms, first_ms, last_ms)


def stored_bars(market: str, pair: str, interval_ms: int, first_ms: int, last_ms: int) -> Candles:
    """Return the live bars on record that start in [first_ms, last_ms].

    :param market: name of where they come from, see `Account.bars`
    """
    rows = LiveBar.objects.filter(market=market, pair=pair, interval_ms=interval_ms)
    rows = rows.filter(open_ms__gte=first_ms, open_ms__lte=last_ms).order_by("open_ms")
    table = list(rows.values_list(*COLUMNS))
    columns = list(zip(*table, strict=True)) if table else [()] * len(COLUMNS)
    times = np.array(columns[0], dtype=np.int64)
    return Candles(interval_ms, times, *(np.array(column, dtype=np.float64) for column in columns[1:]))
