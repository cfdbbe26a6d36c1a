"""Small markets of several pairs, and every setting of theirs that hypothesis can turn."""

import numpy as np
from hypothesis import strategies as st

from agents.envs.settings import EnvSettings
from agents.spaces import ActionSpec
from tests.agents.envs.markets import costs_and_exits, random_market

NAMES = ("A/USD", "B/USD", "C/USD", "D/USD")
POSITION_ONLY = ("stop_loss", "take_profit", "trailing", "action")


def random_basket(pairs=2, bars=300, features=3, seed=1, price=100.0):
    """Return aligned candles of some pairs and their features side by side."""
    made = [random_market(bars, features, seed + 100 * at, price=price) for at in range(pairs)]
    return tuple(candles for candles, _ in made), np.concatenate([rows for _, rows in made], axis=1)


@st.composite
def basket_settings(draw, most=4):
    """Settings that weigh one pair or more, each perhaps with a tick and a step of its own."""
    names = NAMES[: draw(st.integers(1, most))]
    given = {name: draw(value) for name, value in costs_and_exits.items() if name not in POSITION_ONLY}
    top, band = draw(st.sampled_from([1.0, 1.0, 0.6])), draw(st.sampled_from([0.0, 0.01, 0.1]))
    own = {
        "pair_ticks": draw(st.dictionaries(st.sampled_from(names), st.sampled_from([0.0, 0.01, 0.5]))),
        "pair_steps": draw(st.dictionaries(st.sampled_from(names), st.sampled_from([0.0, 0.001, 1.0]))),
    }
    return EnvSettings(**given, **own, action=ActionSpec("weights", (0.0, top), band, names))
