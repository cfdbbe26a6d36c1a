"""A trained model on disk: written whole or not at all, and refused when anything in it has changed."""

import hashlib
import io
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from agents.models import TrainedModel
from agents.policies.forecast import Forecasting
from agents.policies.network import Network
from agents.policies.port import ObservationNeeds
from agents.policies.table import Table
from agents.policies.team import PREFIX, Mind, TeamMind, TeamPolicy
from agents.policies.trained import NetworkPolicy
from agents.policies.weights import NetworkWeights
from agents.spaces import ActionSpec
from market.errors import BadInput
from market.features import FeatureSet, Scaler

TOLERANCE = 1e-6
FILES = ("card.json", "policy.zip", "weights.npz")


def write(relative: str, *, card: dict[str, Any], network: Mind, policy_zip: bytes) -> str:
    """Write a model's directory, replacing an unfinished earlier one, and return its hash.

    :param relative: the directory, relative to VAR_DIR
    :param policy_zip: the learning library's own archive, for whoever wants to train on
    """
    target = Path(settings.VAR_DIR) / relative
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    part.mkdir(parents=True)
    try:
        weights = io.BytesIO()
        np.savez(weights, **network.to_arrays())  # type: ignore[arg-type]  # the stubs confuse names and flags
        text = json.dumps({**card, "probe": probe(network)}, indent=1, sort_keys=True).encode()
        for name, data in zip(FILES, (text, policy_zip, weights.getvalue()), strict=True):
            _write_file(part / name, data)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return hash_of(target)


def remove(relative: str) -> None:
    """Remove a directory that no row names."""
    shutil.rmtree(Path(settings.VAR_DIR) / relative, ignore_errors=True)


def remove_others(relative: str, pattern: str) -> None:
    """Remove the directories beside a model's that fit a pattern, half written ones too: they lost to it."""
    kept = Path(settings.VAR_DIR) / relative
    for lost in (*kept.parent.glob(pattern), *kept.parent.glob(f".{pattern}")):
        if lost != kept:
            shutil.rmtree(lost, ignore_errors=True)


def hash_of(directory: Path) -> str:
    """Return the SHA-256 over the names and contents of a model's files.

    :raises FileNotFoundError: when one is missing
    """
    digest = hashlib.sha256()
    for name in FILES:
        content = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def verify(model: TrainedModel) -> Path:
    """Return the directory of a model whose files are the ones that were made.

    :raises BadInput: when one is missing or has changed
    """
    directory = Path(settings.VAR_DIR) / model.path
    try:
        found = hash_of(directory)
    except OSError as error:
        raise BadInput(
            f"a file of model {model.name} is missing or unreadable: restore {directory} or train it again",
            "model",
        ) from error
    if found != model.file_hash:
        raise BadInput(
            f"the files of model {model.name} have changed since it was trained, so it will not be used: "
            "restore them or train it again",
            "model",
        )
    return directory


def card_of(model: TrainedModel) -> dict[str, Any]:
    """Return a model's card. :raises BadInput: as `verify`"""
    return json.loads((verify(model) / "card.json").read_text())


def load_policy(model: TrainedModel) -> NetworkPolicy | TeamPolicy:
    """Return the policy of a model of one pair, entirely from files proven unchanged.

    :raises BadInput: as `verify`, when the model was made by other feature code, or weighs several pairs
    """
    policy = load_any(model)
    if isinstance(policy, NetworkWeights):
        raise BadInput(
            f"model {model.name} shares an account out between {' and '.join(policy.action_spec.pairs)}: it "
            "can be backtested on all of them, and not stand where a model of one pair is needed",
            "model",
        )
    return policy


def load_weights(model: TrainedModel) -> NetworkWeights:
    """Return the policy of a portfolio's model, likewise."""
    policy = load_any(model)
    if not isinstance(policy, NetworkWeights):
        raise BadInput(f"model {model.name} trades one pair, it weighs no portfolio", "model")
    return policy


def load_any(model: TrainedModel) -> NetworkPolicy | TeamPolicy | NetworkWeights:
    """Return the policy of a trained model, of one pair or of several. :raises BadInput: as `load_policy`"""
    directory = verify(model)
    card = json.loads((directory / "card.json").read_text())
    with np.load(directory / "weights.npz", allow_pickle=False) as arrays:
        network = mind_of(dict(arrays))
    require_probe(model.name, network, card.get("probe"))
    return policy_of(card, network, name=model.name, policy_hash=model.file_hash)


def mind_of(arrays: dict[str, np.ndarray]) -> Mind:
    """Return what `weights.npz` holds. :raises BadInput: when it does not fit together"""
    if f"{PREFIX}names" in arrays:
        return TeamMind.from_arrays(arrays)
    return Table.from_arrays(arrays) if "table.values" in arrays else Network.from_arrays(arrays)


def probe(network: Mind) -> list[list[float]]:
    """Return the network's answers, outputs and value, to two fixed observations.

    Training has compared this network with torch's; whoever loads it proves that it still answers so here.
    """
    observations = np.outer([1.0, -0.5], np.cos(np.arange(network.inputs))).astype(np.float32)
    return [[*network.act(row).tolist(), *network.value(row).tolist()] for row in observations]


def require_probe(name: str, network: Mind, expected: Any) -> None:
    """:raises BadInput: when the network answers otherwise here than where it was trained"""
    if expected is not None and not np.allclose(probe(network), expected, rtol=TOLERANCE, atol=TOLERANCE):
        raise BadInput(
            f"model {name} gives other answers on this machine than where it was trained: check "
            "the installed numpy and numba, or train it again",
            "model",
        )


def policy_of(
    card: dict[str, Any], network: Mind, *, name: str, policy_hash: str
) -> NetworkPolicy | TeamPolicy | NetworkWeights:
    """Put a network together with what its card says about observation and actions."""
    scaler, action = Scaler.from_json(card["scaler"]), ActionSpec.from_dict(card["action"])
    needs = ObservationNeeds(
        FeatureSet.from_json(card["feature_set"]),
        Forecasting.from_json(scaler, card["forecast"]) if card.get("forecast") else scaler,
        int(card["window"]),
        float(card["bars_scale"]),
        len(action.pairs) or 1,
    )
    every = int(card["decision_every"])
    if isinstance(network, TeamMind):
        return TeamPolicy(name, policy_hash, network, needs, action, every)
    if action.pairs and isinstance(network, Network):
        return NetworkWeights(name, policy_hash, network, needs, action, every)
    return NetworkPolicy(name, policy_hash, network, needs, action, every)


def _write_file(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
