"""The kernel's compiled loop with what can answer for a policy inside it.

A function of `answer` gets the row and the book at its close, and returns (is known, action, exposure wanted,
confidence), as `market.kernel.batch_walk.compile_walk` wants it.
"""
# mypy: disable-error-code="no-untyped-def"

import math
import zlib
from pathlib import Path

from agents.policies.rules import BAND
from market.kernel.batch import SOURCE_DIGEST
from market.kernel.batch_walk import compile_walk
from market.kernel.packing import compiled
from market.kernel.rebalance import is_kept

DIGEST = zlib.crc32(Path(__file__).read_bytes(), SOURCE_DIGEST)


@compiled
def by_nobody(row, book, close, exposure, asking, mind):
    """Leave every decision to the caller."""
    return False, 0, math.nan, math.nan


@compiled
def by_wishes(row, book, close, exposure, asking, mind):
    """Decide as `agents.policies.rules.Rule.opinion` does on wishes known beforehand.

    :param mind: wishes of who is out of the market and of who is in it, float64 (n,), and `Rule.rest`
    """
    outside, inside, rest = mind
    wish = inside[row] if exposure > BAND else outside[row]
    if wish != wish or is_kept(wish, exposure, BAND) or abs(wish - exposure) <= rest:
        return True, 0, math.nan, math.nan
    return True, 1 if wish > exposure else 2, wish, math.nan


walk_asking = compile_walk(by_nobody, DIGEST)
walk_wishes = compile_walk(by_wishes, DIGEST)
