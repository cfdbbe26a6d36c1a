"""Markets and policies for the tests of this app."""

import numpy as np

from agents import artefacts
from agents.models import TrainedModel
from agents.policies.network import Network
from agents.policies.port import ObservationNeeds
from agents.policies.trained import NetworkPolicy
from agents.spaces import ActionSpec
from market import archive
from market.candles import Candles
from market.features import PRESETS, Scaler, compute
from market.models import Series

MINUTE = 60_000
START = 1_704_067_200_000  # 2024-01-01T00:00Z


def walk(bars=600, seed=1, volatility=0.002):
    """Return a seeded random walk; each bar opens a little off the close before it."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, volatility, bars)))
    return _bars(close, rng, volatility)


def waves(bars=4000, seed=1, length=30, drift=0.003):
    """Return a market that anybody can predict: it rises for `length` bars, then falls as long, and so on."""
    rng = np.random.default_rng(seed)
    up = (np.arange(bars) // length) % 2 == 0
    close = 100 * np.exp(np.cumsum(np.where(up, drift, -drift) + rng.normal(0, drift / 10, bars)))
    return _bars(close, rng, drift / 10)


def _bars(close, rng, noise):
    open_ = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0, noise / 4, len(close)))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, noise / 2, len(close))))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, noise / 2, len(close))))
    return Candles(
        MINUTE, START + np.arange(len(close)) * MINUTE, open_, high, low, close, rng.random(len(close))
    )


def changed_after(candles, row, factor=3.0):
    """Return the same candles up to and with `row`, and quite different ones after it."""
    later = slice(row + 1, None)
    arrays = {}
    for name in ("open", "high", "low", "close"):
        arrays[name] = getattr(candles, name).copy()
        arrays[name][later] = arrays[name][later][::-1] * factor
    return Candles(candles.interval_ms, candles.open_ms, volume=candles.volume, **arrays)


def stored(candles, owner=None, pair="SIM/USD", source="test"):
    """Return a series of the archive that holds the candles."""
    series = Series.objects.create(owner=owner, source=source, pair=pair, interval_ms=candles.interval_ms)
    archive.merge(series, candles)
    series.refresh_from_db()
    return series


def network(inputs, outputs=3, seed=0, hidden=16, is_continuous=False):
    """Return a network with random weights."""
    rng = np.random.default_rng(seed)

    def layer(rows, columns):
        weight = rng.normal(0, 0.3, (rows, columns)).astype(np.float32)
        return weight, rng.normal(0, 0.1, columns).astype(np.float32)

    towers = [(layer(inputs, hidden), layer(hidden, hidden), layer(hidden, n)) for n in (outputs, 1)]
    return Network(*towers, "tanh", np.zeros(1, np.float32) if is_continuous else None)


def network_policy(candles, features="price", window=2, action=None, seed=0, decision_every=1):
    """Return a policy with random weights, whose scaler was fitted on the candles."""
    feature_set = PRESETS[features]
    rows = compute(candles, feature_set)[feature_set.warmup :]
    needs = ObservationNeeds(feature_set, Scaler.fit(rows), window, 100.0)
    action = action or ActionSpec()
    made = network(
        window * len(feature_set) + 5, len(action.names), seed, is_continuous=action.kind == "continuous"
    )
    return NetworkPolicy("random weights", made.hash, made, needs, action, decision_every)


def stored_model(owner, policy, candles, name="tried"):
    """Return a model whose files hold the policy, as a training run would leave it."""
    needs = policy.observation
    card = {
        "feature_set": needs.feature_set.to_json(),
        "scaler": needs.scaler.to_json(),
        "window": needs.window,
        "bars_scale": needs.bars_scale,
        "action": policy.action_spec.to_dict(),
        "decision_every": policy.decision_every,
    }
    file_hash = artefacts.write("models/9", card=card, network=policy.network, policy_zip=b"zip")
    return TrainedModel.objects.create(
        owner=owner, name=name, algorithm="ppo", spec={}, feature_set=card["feature_set"],
        feature_set_hash=needs.feature_set.hash, scaler=card["scaler"], series=stored(candles, owner),
        train_from_ms=0, train_to_ms=1, valid_to_ms=2, data_fingerprint="f", code_version="c",
        path="models/9", file_hash=file_hash,
    )  # fmt: skip
