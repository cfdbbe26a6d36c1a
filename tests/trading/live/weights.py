"""Portfolio models for the live tests, and all the sessions of a plan driven by hand."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agents import artefacts
from agents.models import TrainedModel
from agents.policies.network import Network
from agents.spaces import ActionSpec
from market.candles import Candles
from market.features import PRESETS, Scaler, compute
from market.kernel.health import quantile_bins
from tests.agents.markets import START, stored, walk
from tests.trading.live.conftest import MINUTE, Live
from trading import selectors, services
from trading.models import LiveSession, PortfolioPlan

PAIRS = ("BTC/USD", "ETH/USD")


def network(inputs, pairs, blind=0, seed=0, hidden=16, scale=1.5):
    """Return a network with random weights over pairs; it does not see the last `blind` numbers."""
    rng = np.random.default_rng(seed)

    def layer(rows, columns, size):
        weight = rng.normal(0, size / np.sqrt(rows), (rows, columns)).astype(np.float32)
        return weight, rng.normal(0, 0.1, columns).astype(np.float32)

    towers = []
    for outputs in (pairs, 1):
        first, *rest = layer(inputs, hidden, scale), layer(hidden, outputs, scale)
        if blind:
            first[0][-blind:] = 0
        towers.append((first, *rest))
    return Network(*towers, "tanh", np.zeros(pairs, np.float32))


def portfolio_model(owner, *, pairs=PAIRS, window=2, every=1, is_blind=False, seed=0, features="price",
                    band=0.01, name="both", made=None, learned_at=None):  # fmt: skip
    """Return a model with random weights over `pairs`, as training would leave it.

    :param learned_at: how far from the usual inputs lie those that it learned on; None: they were not kept
    """
    feature_set = PRESETS[features]
    candles = [walk(1500, seed=place + 1) for place in range(len(pairs))]
    rows = np.concatenate([compute(one, feature_set)[feature_set.warmup :] for one in candles], axis=1)
    account = 2 * len(pairs) + 2
    size = window * rows.shape[1] + account
    made = made or network(size, len(pairs), blind=account if is_blind else 0, seed=seed)
    action = ActionSpec("weights", (0.0, 1.0), band, pairs)
    card = {
        "feature_set": feature_set.to_json(),
        "scaler": Scaler.fit(rows).to_json(),
        "window": window,
        "bars_scale": 100.0,
        "action": action.to_dict(),
        "decision_every": every,
    }
    if learned_at is not None:
        edges, shares = quantile_bins(rows + learned_at)
        card["inputs"] = {"edges": edges.tolist(), "shares": shares.tolist()}
    path = f"models/{name}"
    file_hash = artefacts.write(path, card=card, network=made, policy_zip=b"zip")
    series = stored(candles[0], owner, pairs[0], source=name)
    spec = {"pairs": list(pairs), "basket": [series.pk], "action": action.to_dict()}
    return TrainedModel.objects.create(
        owner=owner, name=name, algorithm="fast_ppo", spec=spec, feature_set=card["feature_set"],
        feature_set_hash=feature_set.hash, scaler=card["scaler"], series=series, train_from_ms=0,
        train_to_ms=1, valid_to_ms=2, data_fingerprint="f", code_version="c", path=path, file_hash=file_hash,
    )  # fmt: skip


def planted(bars=900, seed=5, start=60_000.0, volatility=0.004):
    """Return candles on the cent; every bar opens where the last one closed."""
    rng = np.random.default_rng(seed)
    close = np.round(start * np.exp(np.cumsum(rng.normal(0, volatility, bars))), 2)
    open_ = np.concatenate(([start], close[:-1]))
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    return Candles(MINUTE, START + np.arange(bars) * MINUTE, open_, high, low, close, np.ones(bars))


def replayed(folder, candles):
    """Write candles by pair where a sandbox can replay them; return its feeds."""
    feeds = []
    for pair, one in candles.items():
        path = folder / f"{pair.replace('/', '')}.parquet"
        names = ("open", "high", "low", "close", "volume")
        pq.write_table(pa.table({"open_time": one.open_ms, **{n: getattr(one, n) for n in names}}), path)
        feeds.append(f"replay:{path}@{pair}")
    return feeds


class Driven:
    """All sessions of a plan, driven by hand."""

    def __init__(self, plan, user, venue, account):
        self.plan, self.user, self.venue, self.account = plan, user, venue, account
        self.members = [self._take(session) for session in plan.sessions.order_by("pk")]

    def _take(self, session):
        member = Live(self.user, self.venue, self.account)
        member.session = session
        return member.take()

    def turns(self, count=3):
        """Take turns in order: bars are marked and weights decided, sells sent, then buys."""
        for _ in range(count):
            for member in self.members:
                if member.seat is not None:
                    member.turn()

    def bar(self, count=1, turns=3):
        for _ in range(count):
            self.venue.advance(MINUTE)
            self.turns(turns)

    def die(self):
        """Lose every driver without a word, and let fresh ones take over."""
        for member in self.members:
            member.die()
        self.members = [self._take(member.session) for member in self.members]

    def decisions(self):
        return list(self.plan.decisions.order_by("bar_ms"))

    def sessions(self):
        return list(LiveSession.objects.filter(plan=self.plan).order_by("pk"))

    def facts(self):
        return selectors.plan_facts(PortfolioPlan.objects.get(pk=self.plan.pk))

    def shares(self):
        return [part["share"] for part in self.facts()["parts"]]

    def money(self):
        """Return what all sessions own in cash, and what they have spent by their fills."""
        rows = self.sessions()
        spent = sum(f.quantity * f.price + f.fee for row in rows for f in row.fills.all())
        return sum(row.cash for row in rows), sum(row.capital for row in rows) - spent


def start(user, account, profile, model, **changes):
    given = {"name": "core", "model": model, "capital": Decimal(40000)}
    return services.start_plan(account=account, risk=profile, by=user, **(given | changes))
