"""Members for councils: trained ones with random weights, written to disk as training would."""

from agents import artefacts
from agents.models import TrainedModel
from agents.policies.council import Council, Member, Voting
from agents.spec import Trading
from tests.agents.markets import network_policy


def council_of(*policies, weights=None, absent=(), **voting):
    """A council of policies called m0, m1 …"""
    weights = weights or [1.0] * len(policies)
    members = [
        Member(f"m{at}", policy, weight)
        for at, (policy, weight) in enumerate(zip(policies, weights, strict=True))
    ]
    return Council("test", members, Voting(**voting), absent)


def made_model(owner, series, candles, name, sharpe=1.0, inputs=None, **given):
    """A stored model with random weights; `given` as of `network_policy`.

    :param inputs: training inputs as a card keeps them
    """
    policy = network_policy(candles, **given)
    card = {
        "feature_set": policy.observation.feature_set.to_json(),
        "scaler": policy.observation.scaler.to_json(),
        "window": policy.observation.window,
        "bars_scale": policy.observation.bars_scale,
        "action": policy.action_spec.to_dict(),
        "decision_every": policy.decision_every,
    }
    if inputs is not None:
        card["inputs"] = inputs
    path = f"models/{name}"
    file_hash = artefacts.write(path, card=card, network=policy.network, policy_zip=b"zip")
    return TrainedModel.objects.create(
        owner=owner, name=name, algorithm="ppo", feature_set=card["feature_set"], series=series, path=path,
        spec={"trading": Trading().model_dump(), "action": card["action"]}, scaler=card["scaler"],
        feature_set_hash=policy.observation.feature_set.hash, train_from_ms=0, train_to_ms=1, valid_to_ms=2,
        data_fingerprint="f", code_version="c", file_hash=file_hash,
        metrics={} if sharpe is None else {"sharpe": sharpe},
    )  # fmt: skip
