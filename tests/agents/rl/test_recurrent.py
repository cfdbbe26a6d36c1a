"""Recurrent PPO: what it learned step by step it thinks where it trades, without keeping a state."""

import numpy as np
from sb3_contrib import RecurrentPPO

from agents import artefacts
from agents.evaluation.data import split_for
from agents.rl.training import card_part, learn
from tests.agents.markets import walk
from tests.agents.rl.test_algorithms import made_ready, small
from tests.agents.rl.test_learning import Ear

MEMORY = {"memory": 6, "hidden": 8}


def test_a_decision_is_what_the_library_thinks_after_as_many_rows(tmp_path):
    spec = small("recurrent_ppo", recurrent=MEMORY, decision_every=3)
    ready = made_ready(walk(1200), spec)
    outcome = learn(spec, ready, tmp_path, Ear())
    (tmp_path / "policy.zip").write_bytes(outcome.policy_zip)
    theirs = RecurrentPPO.load(tmp_path / "policy.zip", device="cpu")
    policy = artefacts.policy_of(card_part(spec, ready), outcome.network, name="p", policy_hash="h")
    rows = ready.scaler.transform(ready.rows[300:400])
    account = np.array([0.5, 0.0, 0.1, -0.01, 0.5], np.float32)
    assert policy.observation.window == 16  # the newest row, and those three, six ... fifteen bars before
    for end in range(20, 60, 7):
        state, starts = None, np.array([True])
        for row in range(end - 15, end + 1, 3):
            seen = np.concatenate([rows[row], account])[None]
            action, state = theirs.predict(seen, state, starts, deterministic=True)
            starts = np.array([False])
        window = np.concatenate([rows[end - 15 : end + 1].reshape(-1), account])
        assert policy.opine(window, 0.5).action == action[0]


def test_the_gap_before_the_judging_part_is_as_long_as_the_memory():
    spec = small("recurrent_ppo", recurrent=MEMORY, decision_every=3)
    plain = small("ppo", decision_every=3)
    gaps = [split_for(1200, one) for one in (spec, plain)]
    assert [part.valid_from - part.train_to for part in gaps] == [
        one.feature_set().warmup + lookback for one, lookback in ((spec, 16), (plain, 1))
    ]
