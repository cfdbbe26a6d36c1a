"""What one chaos run does: everything here follows from its seed alone. When it happens does not."""

import itertools
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from tests.chaos.inject.chaos_points import KILL, POINTS, SUSPEND

ORDERS = ["place_order", "cancel_order", "short_open", "short_close"]
PAIRS = ("BTC/USD", "ETH/USD", "SIM/USD")
SKEW_MS, REAL_WINDOW_MS = 90_000, 60_000
SCALE = 2.0 / 15.0  # a run's lease is so much shorter than the product's, and so are its time limits

# What goes wrong at the venue. Latency is given for the product's own time limits and scaled with them.
FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "drop before": {"drop_before": {"paths": ORDERS}},
    "drop after acceptance": {"drop_after": {"paths": ORDERS}},
    "drop anything": {"drop_after": {"probability": 0.4}},
    "5xx before": {"http_5xx_before": {"value": 503, "paths": ORDERS}},
    "5xx after": {"http_5xx_after": {"value": 502, "paths": ORDERS}},
    "5xx anywhere": {"http_5xx_after": {"value": 500, "probability": 0.4}},
    "429": {"http_429": {"probability": 0.5}},
    "answer 8 s late": {"latency_ms": {"value": 8_000, "paths": ORDERS, "times": 2}},
    "effect 8 s late": {"latency_before_ms": {"value": 8_000 * SCALE, "paths": ORDERS, "times": 2}},
    "truncated JSON": {"truncated_json": {"probability": 0.5}},
    "malformed JSON": {"malformed_json": {"probability": 0.5}},
    "empty wallet": {"empty_wallet": {}},
    "missing pair": {"missing_pair": {"value": PAIRS[0]}},
    "stale ticker": {"stale_ticker": {}},
    "clock 90 s ahead": {"clock_skew_ms": {"value": SKEW_MS}, "window_ms": {"value": REAL_WINDOW_MS}},
    "clock 90 s behind": {"clock_skew_ms": {"value": -SKEW_MS}, "window_ms": {"value": REAL_WINDOW_MS}},
    "frozen clock": {"frozen_clock": {}, "window_ms": {"value": REAL_WINDOW_MS}},
    "IsRunning false": {"is_running": {"value": False}},
    "CanTrade false": {"can_trade": {"value": False}},
    "no permission": {"no_permission": {}},
}

# What dies, stands still or is withheld at a random moment.
MOMENTS = (
    "nothing",
    "kill the driver",
    "kill an idle worker",
    "kill the sentinel",
    "kill the workers",
    "kill the web",
    "kill the venue",
    "restart the venue",
    "suspend the driver",
    "lock the database",
    "fill the disk",
    "trade by hand",
    "short by hand",
)
ACTS = (*MOMENTS, *(f"{KILL} at {label}" for label in POINTS), f"{SUSPEND} at about-to-send")
COMBINATIONS = list(itertools.product(sorted(FAULTS), ACTS))
Random(20240101).shuffle(COMBINATIONS)  # any stretch of seeds meets an even mix of them
EPISODES = 3
STYLES = ("limit", "limit", "split", "market", "market", "market")  # a third, a sixth, the rest
REQUESTS = ("none", "pause and resume", "start again", "stop one", "flatten one")


@dataclass(frozen=True)
class Session:
    """A session of the run: a pair, a rule that trades by chance, long only or both ways, and its style."""

    pair: str
    seed: int
    turnover: float
    is_both_ways: bool
    execution: dict[str, Any]  # the settings of its style; the venue's clock


@dataclass(frozen=True)
class Episode:
    """One fault and one act, and a request of a person in the middle of them."""

    fault: str
    act: str
    passage: int  # of a labelled point
    request: str
    session: int  # that the request is about
    before_s: float  # under the fault before the act
    after_s: float  # and after it


@dataclass(frozen=True)
class Plan:
    """All that follows from the seed. The moments are wished for: processes run as the machine lets them."""

    seed: int
    sessions: tuple[Session, ...]
    episodes: tuple[Episode, ...]
    ending: str  # stop or flatten

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan_of(seed: int) -> Plan:
    """Return the plan of a seed; neighbouring seeds walk through all combinations of fault and act."""
    random = Random(seed)
    sessions = tuple(
        Session(
            pair,
            random.randrange(10_000),
            round(random.uniform(0.5, 0.95), 2),
            (seed + at) % 3 != 0,
            execution_for(Random(f"{seed} {pair}")),
        )
        for at, pair in enumerate(PAIRS)
    )
    episodes = []
    for number in range(EPISODES):
        fault, act = COMBINATIONS[(seed * EPISODES + number) % len(COMBINATIONS)]
        episodes.append(
            Episode(
                fault=fault,
                act=act,
                passage=random.choice((1, 1, 2) if " at web-" in act else (1, 1, 2, 3)),
                request=request_for(act, random),
                session=random.randrange(len(PAIRS)),
                before_s=round(random.uniform(0.1, 0.6), 2),
                after_s=round(random.uniform(0.2, 0.8), 2),
            )
        )
    return Plan(seed, sessions, tuple(episodes), random.choice(("stop", "flatten")))


def execution_for(random: Random) -> dict[str, Any]:
    """Return a style with times of a fraction of a bar up to three, so that orders rest while things die."""
    style = random.choice(STYLES)
    if style == "limit":
        times = {
            "deadline_s": round(random.uniform(20, 180), 1),
            "requote_s": round(random.uniform(5, 40), 1),
        }
        return {"style": style, **times}
    if style == "split":
        return {"style": style, "children": random.randint(2, 5), "over_s": round(random.uniform(20, 150), 1)}
    return {"style": style}


def request_for(act: str, random: Random) -> str:
    """Return what a person asks for meanwhile; a point in the web process needs a request that passes it."""
    if act.partition(" at web-")[2] in ("key-claimed", "before-row", "after-row"):
        return "start again"
    if " at web-" in act:
        return "pause and resume"
    if " at stopping" in act:
        return "stop one"
    return random.choice(REQUESTS)
