"""Teams with random weights, written to disk as training would."""

import numpy as np

from agents import artefacts
from agents.models import TrainedModel
from agents.policies.network import GREEDY, Network
from agents.policies.port import ObservationNeeds
from agents.policies.team import TeamMind, TeamPolicy
from agents.spaces import ActionSpec
from agents.spec import Trading
from market.features import PRESETS, Scaler, compute
from tests.agents.markets import network

NAMES = ("momentum", "market_making")
LEVELS = ActionSpec("levels", (0.0, 0.5, 1.0), 0.02)


def eager(mind):
    """Return a network that always asks for the highest level."""
    (*hidden, (weight, bias)) = mind.actor
    return Network((*hidden, (weight, bias + np.array([0, 0, 50], np.float32))), mind.critic, mind.activation)


def team_policy(candles, features="price"):
    """Return a team of two: the first always wants all, the second and the allocator are random."""
    feature_set = PRESETS[features]
    needs = ObservationNeeds(
        feature_set, Scaler.fit(compute(candles, feature_set)[feature_set.warmup :]), 1, 100.0
    )
    size = len(feature_set) + 5
    minds = (eager(network(size, 3, 1)), network(size, 3, 2))
    allocator = Network(network(size, 2, 3).actor, (), "tanh", head=GREEDY)
    mind = TeamMind(NAMES, np.ones((2, size), np.float32), minds, allocator, np.full(2, 0.5))
    return TeamPolicy("team", mind.hash, mind, needs, LEVELS, 1)


def team_model(owner, series, candles, name="team"):
    """Return a stored model whose files hold `team_policy`."""
    policy = team_policy(candles)
    needs = policy.observation
    card = {
        "feature_set": needs.feature_set.to_json(),
        "scaler": needs.scaler.to_json(),
        "window": needs.window,
        "bars_scale": needs.bars_scale,
        "action": policy.spoken.to_dict(),
        "decision_every": policy.decision_every,
    }
    path = f"models/{name}"
    file_hash = artefacts.write(path, card=card, network=policy.network, policy_zip=b"zip")
    return TrainedModel.objects.create(
        owner=owner, name=name, algorithm="team_ppo", feature_set=card["feature_set"], series=series,
        path=path, spec={"trading": Trading().model_dump(), "action": card["action"]}, scaler=card["scaler"],
        feature_set_hash=needs.feature_set.hash, train_from_ms=0, train_to_ms=1, valid_to_ms=2,
        data_fingerprint="f", code_version="c", file_hash=file_hash, metrics={"sharpe": 1.0},
    )  # fmt: skip
