"""Small markets of several pairs, and every setting of theirs that hypothesis can turn."""

import numpy as np
from hypothesis import strategies as st

from agents.spaces import ActionSpec
from market.plans import SIZES
from tests.agents.envs.markets import coherent, costs_and_exits, positions, random_market, watched

NAMES = ("A/USD", "B/USD", "C/USD", "D/USD")
PLAIN_EXITS = ("stop_loss", "take_profit", "trailing")
SIZING = (
    *SIZES,
    "kelly_trades",
    "kelly_min_trades",
    "resize_band",
    "dca_lots",
    "dca_reluctance",
    "dca_max_loss",
)
EXITS = {name: value for name, value in positions.items() if name not in SIZING}


def random_basket(pairs=2, bars=300, features=3, seed=1, price=100.0):
    """Return aligned candles of some pairs and their features side by side."""
    made = [random_market(bars, features, seed + 100 * at, price=price) for at in range(pairs)]
    return tuple(candles for candles, _ in made), np.concatenate([rows for _, rows in made], axis=1)


@st.composite
def basket_settings(draw, most=4):
    """Settings that weigh one pair or more, each perhaps with a tick and a step of its own.

    A quarter of them knows no exit, no breaker and no guard, which is another compiled loop.
    """
    names = NAMES[: draw(st.integers(1, most))]
    left_out = {"action"}
    rules = dict(costs_and_exits)
    kind = draw(st.sampled_from(["costs", "exits", "watched", "all"]))
    if kind in ("costs", "watched"):
        left_out |= set(PLAIN_EXITS)
    else:
        rules |= EXITS
    if kind in ("watched", "all"):
        rules |= watched
    given = {name: draw(value) for name, value in rules.items() if name not in left_out}
    top, band = draw(st.sampled_from([1.0, 1.0, 0.6])), draw(st.sampled_from([0.0, 0.01, 0.1]))
    own = {
        "pair_ticks": draw(st.dictionaries(st.sampled_from(names), st.sampled_from([0.0, 0.01, 0.5]))),
        "pair_steps": draw(st.dictionaries(st.sampled_from(names), st.sampled_from([0.0, 0.001, 1.0]))),
    }
    return coherent(**given, **own, action=ActionSpec("weights", (0.0, top), band, names))
