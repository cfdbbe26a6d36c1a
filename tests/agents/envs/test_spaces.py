import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.observation import observation_hash, observation_size, observe
from agents.spaces import BUY, HOLD, SELL, ActionSpec
from market.errors import BadInput
from tests.agents.envs.markets import actions


def test_hold_keeps_buy_goes_in_and_sell_goes_out():
    spec = ActionSpec()
    assert [spec.target(action, 0.0) for action in (HOLD, BUY, SELL)] == [None, 1.0, 0.0]
    assert spec.names == ("HOLD", "BUY", "SELL")
    assert spec.target(BUY, 0.995) is None


def test_levels_name_their_exposure():
    spec = ActionSpec("levels", (-0.5, 0, 1))
    assert spec.names == ("-50%", "FLAT", "+100%")
    assert [spec.target(action, 0.3) for action in range(3)] == [-0.5, 0.0, 1.0]


@pytest.mark.parametrize(("action", "exposure"), [(-1, -0.5), (0, 0.25), (1, 1.0), (7, 1.0), ([-3], -0.5)])
def test_continuous_actions_map_onto_the_range(action, exposure):
    assert ActionSpec("continuous", (-0.5, 1.0)).asked(np.array(action)) == pytest.approx(exposure)


@given(actions, st.floats(-1, 1))
def test_every_action_of_the_space_asks_for_an_allowed_exposure(spec, current):
    target = spec.target(spec.space().sample(), current)
    assert target is None or spec.levels[0] <= target <= spec.levels[-1]
    assert ActionSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize("levels", [(1,), (1, 0), (0, 0), (-200, 1)])
def test_levels_that_make_no_sense_are_refused(levels):
    with pytest.raises(BadInput):
        ActionSpec("levels", levels)


def test_an_observation_is_hashed_by_its_bytes():
    observation = observe(np.ones((2, 3)), (1.0, 0.0, 0.0, 0.0, 0.0))
    assert (observation.dtype, len(observation)) == (np.float32, observation_size(2, 3))
    assert observation_hash(observation) == hashlib.sha256(observation.tobytes()).hexdigest()
    assert observation_hash(observation) != observation_hash(np.nextafter(observation, np.float32(2)))
    with pytest.raises(ValueError, match="float32"):
        observation_hash(observation.astype(np.float64))
