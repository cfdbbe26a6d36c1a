"""How fast a live session thinks, and how fast a tick becomes a committed intent.

`decide_us_*`: closed bar -> features -> scaled observation -> 64x64 network -> gate -> sized order, in
process, no database. `council_us_*`: the same with three such networks voting. `tick_to_intent_ms_*`: one
whole turn on a fresh bar with the database (SQLite file), from the beginning of the session's own turn until
the venue adapter is handed the order, whose intent is committed by then; the venue answers at once.
`round_ms`: all sessions, one after the other, when every one of them trades: so long the last one's order
waits after the bar.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from agents.decide import Decider
from agents.policies.council import Council, Member, Voting
from agents.policies.network import Network
from agents.policies.port import ObservationNeeds, Policy
from agents.policies.trained import NetworkPolicy
from agents.spaces import ActionSpec
from market import leases
from market.candles import Candles
from market.features import Scaler, compute, preset
from market.kernel.instrument import Instrument
from market.synthetic import regime_market
from trading import deciding, risk, seat, sessions
from trading.bars import BarFeed
from trading.exchanges.port import FILLED, Balance, OrderReport, Proposal, Quote
from trading.models import Account, Holding, LiveSession, RiskProfile

MINUTE = 60_000
START_MS = 1_704_067_200_000
WINDOW = 8
PURSE = Decimal(10_000_000)
WARM = 3000  # bars before the first that is measured


def run(sessions: int = 200, bars: int = 2000, rounds: int = 5) -> dict[str, Any]:
    """Return the figures; `sessions`, `bars` and `rounds` are how much is measured."""
    count, bars, rounds = int(sessions), int(bars), int(rounds)
    with scratch_database(), override_settings(LEASE_TTL_S=3600.0):  # nobody else is there: a round may last
        candles = market(WARM + bars)
        decide = decide_us(policy(candles), candles)
        council = decide_us(council_of_three(candles), candles)
        intents, round_ms = intents_ms(count, rounds)
    return {
        "decide_us_p50": float(np.percentile(decide, 50)),
        "decide_us_p99": float(np.percentile(decide, 99)),
        "council_us_p50": float(np.percentile(council, 50)),
        "council_us_p99": float(np.percentile(council, 99)),
        "tick_to_intent_ms_p50": float(np.percentile(intents, 50)),
        "tick_to_intent_ms_p99": float(np.percentile(intents, 99)),
        "round_ms": float(np.median(round_ms)),
        "sessions": count,
    }


def council_of_three(candles: Candles) -> Council:
    """Return three networks that vote; they look at the same features."""
    members = [Member(f"m{at}", policy(candles, seed=at), 1.0) for at in range(3)]
    return Council("bench", members, Voting("weighted", "probabilities", 2))


def policy(candles: Candles, seed: int = 1) -> NetworkPolicy:
    """Return an untrained 64x64 network over the core features: thinking costs the same as trained."""
    features = preset("core")
    rows = compute(candles, features)[features.warmup :]
    random = np.random.default_rng(seed)
    sizes = (WINDOW * len(features) + 5, 64, 64)

    def tower(outputs: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        shapes = zip(sizes, (*sizes[1:], outputs), strict=True)
        return tuple(
            (random.normal(0, 0.1, shape).astype(np.float32), np.zeros(shape[1], np.float32))
            for shape in shapes
        )

    needs = ObservationNeeds(features, Scaler.fit(rows), WINDOW, 1440.0)
    network = Network(tower(3), tower(1), "tanh")
    return NetworkPolicy("bench", network.hash, network, needs, ActionSpec(), 1)


class AnsweringVenue:
    """A venue that fills every order at once and remembers when it was handed each."""

    name, has_client_ids, lists_emptied = "bench", False, False

    def __init__(self) -> None:
        self.placed_s: list[float] = []
        self.clock_ms = START_MS
        self.rules = Instrument(
            "BTC/USD", "BTC", "USD", *map(Decimal, ("0.01", "0.00001", "1", "0.001", "0.0005", "0.000001"))
        )

    def instruments(self) -> dict[str, Instrument]:
        return {f"C{k}/USD": self.rules for k in range(1000)}

    def now_ms(self) -> int:
        return self.clock_ms

    def server_ms(self) -> int:
        return self.clock_ms

    def balances(self, *, allow_empty: bool = False) -> dict[str, Balance]:
        return {"USD": Balance(PURSE)}

    def reports(self, pair: str | None, *, open_only: bool = False, limit: int = 100) -> list[OrderReport]:
        return []

    def place(self, order: Proposal) -> OrderReport:
        self.placed_s.append(time.perf_counter())
        price = Decimal(60_000)
        return OrderReport(
            str(len(self.placed_s)), order.pair, order.side, order.type, FILLED, order.quantity,
            order.quantity, price, order.quantity * price / 1000, "USD", "TAKER", self.clock_ms,
            self.clock_ms,
        )  # fmt: skip


class History:
    """A candle source that has everything at hand."""

    def __init__(self, candles: Candles) -> None:
        self.candles_at_hand = candles

    def candles(self, pair: str, interval_ms: int, from_ms: int, to_ms: int, *, now_ms: int) -> Candles:
        return self.candles_at_hand.between(from_ms, min(to_ms, now_ms - interval_ms + 1))


def market(bars: int) -> Candles:
    return regime_market(bars=bars, seed=7, interval_ms=MINUTE, start_ms=START_MS, start_price=60_000.0)


def feed_of(decider: Decider, pair: str, candles: Candles) -> BarFeed:
    return BarFeed(
        market="bench", pair=pair, interval_ms=MINUTE, source=History(candles),
        feature_set=decider.needs.feature_set, window=decider.needs.window, closes=decider.closes_needed,
    )  # fmt: skip


def decide_us(asked: Policy, candles: Candles) -> np.ndarray:
    """Return microseconds from a closed bar to a sized order, one per bar behind the first `WARM`."""
    warm, bars = WARM, len(candles) - WARM
    decider = Decider(asked)
    feed = feed_of(decider, "BTC/USD", candles)
    feed.advance(int(candles.open_ms[warm - 1]) + MINUTE)
    session = LiveSession(
        pair="BTC/USD", cash=Decimal(50_000), peak_equity=Decimal(50_000), risk=RiskProfile()
    )
    rules, taken = AnsweringVenue().rules, np.empty(bars)
    for at in range(warm, warm + bars):
        values = [float(getattr(candles, name)[at]) for name in ("open", "high", "low", "close", "volume")]
        price = Decimal(repr(round(values[3], 2)))
        quote = Quote("BTC/USD", price, price, price, int(candles.open_ms[at]) + MINUTE)
        began = time.perf_counter_ns()
        feed._push(int(candles.open_ms[at]), values)
        row = deciding.portfolio_row(session, values[3], 1440.0, session.bars_held, session.peak_equity)
        seen = feed.shown
        decided = decider.decide(seen.rows, seen.closes, row, row[0])
        if decided.target is not None:
            risk.size(session, decided.target, quote, rules, trades_today=0)
        taken[at - warm] = (time.perf_counter_ns() - began) / 1000
    return taken


def intents_ms(count: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return milliseconds from tick to committed intent of every order, and those of whole rounds."""
    from agents.policies import baseline

    warm = 2000
    candles = market(warm + rounds + 5)
    venue, seats = AnsweringVenue(), []
    venue.clock_ms = int(candles.open_ms[warm]) + MINUTE
    for session in make_sessions(count):
        decider = Decider(baseline("random", turnover=1.0))
        lease = leases.acquire(session.lease_name)
        taken = seat.take(session, exchange=venue, lease=lease, decider=decider, source=History(candles))
        seats.append(taken)
    waited: list[float] = []
    whole: list[float] = []
    for turn in range(rounds + 2):
        venue.clock_ms = int(candles.open_ms[warm + turn]) + MINUTE
        price = Decimal(60_000)
        began_round = time.perf_counter()
        for one in seats:
            one.is_checked = True
            quote = Quote(one.session.pair, price, price, price, venue.clock_ms)
            sent, began = len(venue.placed_s), time.perf_counter()
            sessions.step(one, quote=quote, now_ms=venue.clock_ms)
            if turn > 1 and len(venue.placed_s) > sent:  # the first turns warm the features up
                waited.append((venue.placed_s[-1] - began) * 1000)
        if turn > 1:
            whole.append((time.perf_counter() - began_round) * 1000)
    return waited, whole


def make_sessions(count: int) -> list[LiveSession]:
    from django.contrib.auth import get_user_model

    owner = get_user_model().objects.create_user("bench")
    account = Account.objects.create(owner=owner, name="bench", venue="bench", base_url="http://127.0.0.1:9")
    Holding.objects.create(account=account, coin="USD", quantity=PURSE)
    limits = {"stop_loss": 0.0, "daily_loss": 0.0, "max_drawdown": 0.0, "max_spread": 1.0}
    profile = RiskProfile.objects.create(owner=owner, name="bench", **limits)
    return [
        LiveSession.objects.create(
            owner=owner,
            name=f"bench {k}",
            baseline="random",
            account=account,
            pair=f"C{k}/USD",
            interval_ms=MINUTE,
            risk=profile,
            capital=Decimal(10_000),
        )
        for k in range(count)
    ]


@contextmanager
def scratch_database() -> Iterator[None]:
    """Work on an empty SQLite file, so that a benchmark leaves nothing behind."""
    ordinary = connections["default"]
    with tempfile.TemporaryDirectory() as folder:
        scratch = connections.create_connection("default")
        if scratch.vendor == "sqlite":
            scratch.settings_dict = {**scratch.settings_dict, "NAME": str(Path(folder) / "bench.sqlite3")}
            connections["default"] = scratch
            connections.settings["default"] = scratch.settings_dict  # what threads open
            call_command("migrate", verbosity=0)
        try:
            yield
        finally:
            scratch.close()
            connections["default"] = ordinary
            connections.settings["default"] = ordinary.settings_dict
