"""The kernel's compiled loop with what can answer for a policy inside it.

A function of `answer` gets the row and the book at its close, and returns (is known, action, exposure wanted,
confidence), as `market.kernel.batch_walk.compile_walk` wants it.
"""
# mypy: disable-error-code="no-untyped-def"

import math
import zlib
from pathlib import Path

import numpy as np

from agents.policies import forward, rules
from agents.policies.rules import BAND
from market.kernel.batch import SOURCE_DIGEST
from market.kernel.batch_walk import compile_walk
from market.kernel.packing import compiled
from market.kernel.portfolio import portfolio_row
from market.kernel.rebalance import is_kept

SOURCES = (__file__, forward.__file__, rules.__file__)
DIGEST = zlib.crc32(b"".join(Path(source).read_bytes() for source in SOURCES), SOURCE_DIGEST)


@compiled
def by_nobody(row, book, close, exposure, asking, mind):
    """Leave every decision to the caller."""
    return False, 0, math.nan, math.nan


@compiled
def by_wishes(row, book, close, exposure, asking, mind):
    """Decide as `agents.policies.rules.Rule.opinion` does on wishes known beforehand.

    :param mind: wishes of who is out of the market and of who is in it, float64 (n - first,), `Rule.rest`,
        and the row of the first ones
    """
    at, rest = row - mind[3], mind[2]
    outside, inside = mind[0][at], mind[1][at]  # numbers: arrays on two ways would count references
    wish = inside if exposure > BAND else outside
    if wish != wish or is_kept(wish, exposure, BAND) or abs(wish - exposure) <= rest:
        return True, 0, math.nan, math.nan
    return True, 1 if wish > exposure else 2, wish, math.nan


@compiled
def _see(at, window, book, close, bars_scale, scaled, observation):
    """Write the observation at a close, as `agents.observation.observe` puts it together."""
    place = 0
    for past in range(at, at + window):
        for column in range(scaled.shape[1]):
            observation[place] = scaled[past, column]
            place += 1
    portfolio = portfolio_row(book.cash, book.held, book.entry, book.bars_held, book.peak, close, bars_scale)
    for number in portfolio:
        observation[place] = number
        place += 1


@compiled
def by_network(row, book, close, exposure, asking, mind):
    """Decide as `agents.policies.trained.NetworkPolicy` does without a draw, by the same compiled tower.

    Left to the policy itself are outputs so near to each other, and confidences so near to their threshold,
    that the last bit of an exponential function could decide; and outputs that are no numbers.

    :param mind: scaled rows float32 (n - first + W - 1, F), first, W; the tower, its widths and is_relu, see
        `agents.policies.forward`; observation, signals and outputs to write to; the exposures asked for,
        float64 (actions,), NaN keeps; the gate's confidence, 0 where there is none to compare; and how near
        is too near
    """
    scaled, first, window, tower, widths, is_relu, observation, signals, out, table, least, near = mind
    _see(row - first, window, book, close, asking.bars_scale, scaled, observation)
    forward._tower(tower, widths, is_relu, observation, signals, out)
    action, top, second = 0, np.float64(out[0]), -math.inf
    for a in range(1, len(out)):
        value = np.float64(out[a])
        if value > top:
            action, top, second = a, value, top
        elif not value <= second:
            second = value
    if not top - second > near * max(abs(top), 1.0):
        return False, 0, math.nan, math.nan
    confidence = math.nan
    if least > 0:
        total = 0.0
        for a in range(len(out)):
            total += math.exp(out[a] - top)
        confidence = 1 / total
        if abs(confidence - least) < near:
            return False, 0, math.nan, math.nan
    wish = table[action]
    return True, action, math.nan if is_kept(wish, exposure, asking.band) else wish, confidence


walk_asking = compile_walk(by_nobody, DIGEST)
walk_wishes = compile_walk(by_wishes, DIGEST)
walk_network = compile_walk(by_network, DIGEST)
