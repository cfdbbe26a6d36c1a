"""A feature set's recorded formulas at work on a growing series of bars."""

import logging

import numpy as np

from market.candles import Candles
from market.features import native, series
from market.features.compiled import BEFORE, CALL_WIDTH, DONE, IN, REFUSED, play
from market.features.specs import FeatureSet
from market.features.tape import record

logger = logging.getLogger(__name__)
_told: set[str] = set()  # feature sets whose slower way is known


class Player:
    """The features of a growing series of bars; its cells and TA-Lib's handles stand at the last bar."""

    def __init__(self, feature_set: FeatureSet, candles: Candles) -> None:
        """Open everything on a history.

        :raises NotFound: when TA-Lib cannot be called so.
        :raises TypeError: when a formula cannot be recorded.
        """
        recording = record(feature_set)
        self._scale = series.price_scale(float(candles.close[0]))
        names = (name for call, _, _ in recording.calls for name in call.inputs)
        arrays = series.of_candles(candles, names, self._scale)
        self._cells, self._steps, self._derived = recording.cells.copy(), recording.steps, recording.derived
        self._calls = np.zeros((len(recording.calls), CALL_WIDTH), dtype=np.int64)
        self._handles = []
        for line, (call, places, out) in zip(self._calls, recording.calls, strict=True):
            handle = native.opened(call, [getattr(arrays, name) for name in call.inputs])
            line[:IN] = handle.update, handle.state, len(places), len(handle.values), out
            line[IN : IN + len(places)] = places
            self._cells[out : out + len(handle.values)] = handle.values
            self._handles.append(handle)  # they live as long as the player
        if len(candles) > 1:
            self._cells[BEFORE] = arrays.close[-2]
        self._needs_volume, self._width = feature_set.needs_volume, len(feature_set)
        self._is_broken = False

    def last(self, candles: Candles) -> np.ndarray | None:
        """Return the row of the history's last bar, at which the handles stand already."""
        names = ("open", "high", "low", "close", "volume")
        open, high, low, close, volume = (float(getattr(candles, name)[-1]) for name in names)
        calls, self._calls = self._calls, self._calls[:0]
        close_ms = float(candles.open_ms[-1] + candles.interval_ms)
        row = self.push(close_ms, open, high, low, close, volume)
        self._calls = calls
        return row

    def push(
        self,
        close_ms: float,
        open: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        out: np.ndarray | None = None,
    ) -> np.ndarray | None:
        """Return the next bar's row, float64 (F,); None, and nothing has changed, where it cannot be used.

        :param out: where to write it; without it a new array
        """
        if self._is_broken:
            raise RuntimeError("TA-Lib refused a bar before: start anew")
        row = np.empty(self._width) if out is None else out
        code = play(
            self._steps, self._derived, self._calls, self._cells, row, self._needs_volume, self._scale,
            close_ms, open, high, low, close, volume,
        )  # fmt: skip
        if code == DONE:
            return row
        if code == REFUSED:
            self._is_broken = True  # some handles have moved on: the bar cannot be taken again
            raise RuntimeError("TA-Lib refused a bar of finite numbers")
        return None


def opened(feature_set: FeatureSet, candles: Candles, row: np.ndarray) -> Player | None:
    """Return a player that stands at a history's end, or None where this machine cannot have one.

    :param row: the last bar's features as arrays gave them, float64 (F,): the player must give the same bits
    """
    try:
        player = Player(feature_set, candles)
    except (native.NotFound, TypeError) as error:
        if feature_set.hash not in _told:
            _told.add(feature_set.hash)
            logger.warning("features are computed in Python, at some ten microseconds more a bar: %s", error)
        return None
    found = player.last(candles)
    return player if found is not None and np.array_equal(found, row) else None
