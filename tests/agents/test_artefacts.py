"""Models on disk: whole, provable, refused when changed."""

import dataclasses

import numpy as np
import pytest

from agents import artefacts
from agents.decide import Decider
from agents.policies import load_model
from agents.policies.network import Network
from market.errors import BadInput
from tests.agents.markets import network, network_policy, stored_model, walk

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy():
    return network_policy(walk())


@pytest.fixture
def model(user, policy):
    return stored_model(user, policy, walk())


def test_a_loaded_model_thinks_as_the_written_one_did(model, policy):
    loaded = load_model(model)
    rows = np.random.default_rng(1).normal(size=(50, 2, len(policy.observation.feature_set)))
    for window in rows:
        args = (window, np.ones(1), (0.2, 0.01, 0.5, -0.1, 0.8), 0.2)
        assert Decider(loaded).decide(*args).opinion == Decider(policy).decide(*args).opinion
    assert loaded.policy_hash == model.file_hash


def test_a_network_that_answers_otherwise_on_this_machine_is_refused(model, monkeypatch):
    real = Network.act
    monkeypatch.setattr(Network, "act", lambda self, row: real(self, row) + np.float32(1e-4))
    with pytest.raises(BadInput, match="other answers on this machine"):
        load_model(model)


@pytest.mark.parametrize("name", artefacts.FILES)
def test_a_changed_file_is_refused(model, private_var_dir, name):
    path = private_var_dir / "models" / "9" / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BadInput, match="have changed since it was trained"):
        load_model(model)


@pytest.mark.parametrize("name", artefacts.FILES)
def test_a_missing_file_is_refused(model, private_var_dir, name):
    (private_var_dir / "models" / "9" / name).unlink()
    with pytest.raises(BadInput, match="missing or unreadable"):
        load_model(model)


def test_a_row_that_names_another_hash_is_refused(model):
    model.file_hash = "0" * 64
    with pytest.raises(BadInput, match="have changed"):
        load_model(model)


def test_writing_leaves_no_half_written_directory(private_var_dir, policy, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artefacts, "_write_file", full)
    with pytest.raises(OSError, match="No space"):
        artefacts.write("models/1", card={}, network=policy.network, policy_zip=b"")
    assert list((private_var_dir / "models").iterdir()) == []


def test_the_same_weights_have_the_same_hash_and_others_another():
    assert network(8).hash == network(8).hash != network(8, seed=1).hash


@pytest.mark.parametrize("missing", ["actor.0.weight", "critic.2.bias", "activation"])
def test_incomplete_weights_are_refused(missing):
    arrays = network(8).to_arrays()
    del arrays[missing]
    with pytest.raises(BadInput, match="incomplete"):
        Network.from_arrays(arrays)


def test_layers_that_do_not_fit_are_refused():
    arrays = network(8).to_arrays() | {"actor.1.weight": np.zeros((3, 3), np.float32)}
    with pytest.raises(BadInput, match="incomplete"):
        Network.from_arrays(arrays)


def test_towers_that_read_rows_of_other_widths_are_refused():
    arrays, wider = network(8).to_arrays(), network(9).to_arrays()
    with pytest.raises(BadInput, match="do not fit together"):
        Network.from_arrays(arrays | {"critic.0.weight": wider["critic.0.weight"]})


def test_a_network_that_does_not_fit_its_observation_is_refused(policy):
    narrower = dataclasses.replace(policy.observation, window=1)
    with pytest.raises(BadInput, match="its observation has 11"):
        type(policy)("x", "h", policy.network, narrower, policy.action_spec, 1)
