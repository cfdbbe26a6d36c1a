"""Learning rate and clip range that fall over a run, value clipping, advantages as they are: in every PPO."""

import pytest
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO

from agents.evaluation.data import prepare
from agents.rl.fast.ppo import FastPPO
from agents.rl.team import TeamPPO
from agents.rl.training import learn
from agents.spec import KNOWN, TrainingSpec
from market.errors import BadInput
from tests.agents.markets import stored, walk
from tests.agents.rl.test_learning import SMALL, Ear

PPOS = {
    "ppo": PPO, "fast_ppo": FastPPO, "maskable_ppo": MaskablePPO, "recurrent_ppo": RecurrentPPO,
    "team_ppo": TeamPPO,
}  # fmt: skip
FALLING = {"lr_end": 0.0005, "clip_end": 0.05}
UPDATES, STEPS = 8, 256


@pytest.fixture
def market(db, user):
    return stored(walk(1200), user)


@pytest.fixture
def updates(monkeypatch):
    """The learners, and (learning rate, clip range) of each of their updates."""
    seen = []

    def watched(train):
        def trained(model):
            train(model)
            rate = model.policy.optimizer.param_groups[0]["lr"]
            seen.append((model, rate, model.logger.name_to_value["train/clip_range"]))

        return trained

    for algorithm in PPOS.values():
        monkeypatch.setattr(algorithm, "train", watched(algorithm.train))
    return seen


def run(market, folder, algorithm, *, ear=None, **ppo):
    action = {"kind": KNOWN[algorithm].actions[0]}
    spec = TrainingSpec.parse(SMALL | {"algorithm": algorithm, "action": action, "ppo": SMALL["ppo"] | ppo})
    return learn(spec, prepare(market, spec), folder, ear or Ear())


@pytest.mark.parametrize("algorithm", PPOS)
def test_rates_fall_in_a_straight_line_to_the_end_of_the_run(market, tmp_path, updates, algorithm):
    run(market, tmp_path, algorithm, **FALLING)
    left = [1 - STEPS * (at + 1) / SMALL["steps"] for at in range(UPDATES)]
    assert [rate for _, rate, _ in updates] == pytest.approx([0.0005 + 0.0025 * part for part in left])
    assert [clip for _, _, clip in updates] == pytest.approx([0.05 + 0.15 * part for part in left])


@pytest.mark.parametrize("algorithm", ["ppo", "fast_ppo"])
def test_a_resumed_run_goes_on_along_the_line_to_the_same_weights(market, tmp_path, updates, algorithm):
    whole = run(market, tmp_path / "whole", algorithm, **FALLING)
    expected = [(rate, clip) for _, rate, clip in updates]
    updates.clear()
    with pytest.raises(KeyboardInterrupt):
        run(market, tmp_path / "killed", algorithm, ear=Ear(kill_at=150), **FALLING)
    assert len(updates) < UPDATES
    updates.clear()
    again = run(market, tmp_path / "killed", algorithm, **FALLING)
    assert [(rate, clip) for _, rate, clip in updates] == expected[-len(updates) :]
    assert 0 < len(updates) < UPDATES
    assert again.network.hash == whole.network.hash


@pytest.mark.parametrize("algorithm", ["ppo", "fast_ppo", "maskable_ppo"])
def test_values_are_clipped_and_advantages_left_alone_on_request(market, tmp_path, updates, algorithm):
    plain = {"clip_vf": None, "advantages": "normalised"}
    wanted = [plain, plain | {"clip_vf": 0.01}, plain | {"advantages": "raw"}]
    learned = [run(market, tmp_path / str(at), algorithm, **ppo) for at, ppo in enumerate(wanted)]
    model = updates[UPDATES][0]
    assert model.clip_range_vf(1.0) == 0.01
    assert len({made.network.hash for made in learned}) == len(wanted)


@pytest.mark.parametrize("algorithm", PPOS)
def test_weights_decay_on_request_and_no_other_setting_of_the_optimizer_changes(
    market, tmp_path, updates, algorithm
):
    learned = [run(market, tmp_path / str(wd), algorithm, weight_decay=wd) for wd in (0.0, 1.0)]
    plain, decaying = (updates[at][0].policy.optimizer.param_groups[0] for at in (0, UPDATES))
    said = {"weight_decay": 1.0, "decoupled_weight_decay": True}
    assert {name: decaying[name] for name in said} == said
    kept = set(plain) - {*said, "params"}
    assert {name: plain[name] for name in kept} == {name: decaying[name] for name in kept}
    assert learned[0].network.hash != learned[1].network.hash


@pytest.mark.parametrize("algorithm", ["ppo", "fast_ppo"])
def test_a_resumed_run_decays_on_to_the_same_weights(market, tmp_path, algorithm):
    whole = run(market, tmp_path / "whole", algorithm, weight_decay=0.5)
    with pytest.raises(KeyboardInterrupt):
        run(market, tmp_path / "killed", algorithm, ear=Ear(kill_at=150), weight_decay=0.5)
    assert run(market, tmp_path / "killed", algorithm, weight_decay=0.5).network.hash == whole.network.hash


@pytest.mark.parametrize("wrong", [{"clip_vf": 0.2}, {"advantages": "raw"}])
def test_a_team_has_its_own_way(wrong):
    with pytest.raises(BadInput, match="team normalises") as refused:
        TrainingSpec.parse(
            SMALL | {"algorithm": "team_ppo", "action": {"kind": "levels"}, "ppo": SMALL["ppo"] | wrong}
        )
    assert refused.value.field == f"ppo.{next(iter(wrong))}"
