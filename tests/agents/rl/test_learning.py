"""Learning: exact, resumable, and it works."""

import numpy as np
import pytest
import torch

from agents import provenance
from agents.artefacts import policy_of
from agents.backtest import simulate
from agents.decide import Decider
from agents.evaluation.data import prepare, prepared
from agents.evaluation.score import validation_run
from agents.policies import baseline
from agents.rl import checkpoints, training
from agents.rl.networks import network_of, require_equal
from agents.rl.training import Stopped, card_part, costs_share, learn
from agents.spec import TrainingSpec
from market.errors import BadInput
from market.features import compute
from tests.agents.markets import stored, walk, waves

SMALL = {
    "features": "price",
    "episode_bars": 100,
    "validation_share": 0.2,
    "steps": 2048,
    "seed": 3,
    "network": {"net_arch": [16, 16]},
    "ppo": {"n_envs": 8, "n_steps": 32, "batch_size": 64, "epochs": 2, "lr": 0.003},
    "checkpoint_every": 512,
    "validate_every": 600,
}


class Ear:
    """Hears what a run says; stops it, or kills it where it stands, at a given step."""

    def __init__(self, stop_at=None, kill_at=None):
        self.stop_at, self.kill_at = stop_at, kill_at
        self.steps, self.etas, self.metrics, self.saved, self.calls = [], [], {}, [], 0
        self.views, self.notes = {}, []

    def progress(self, *, steps, fps, eta_s, latest):
        self.steps.append(steps)
        self.etas.append(eta_s)

    def metric(self, step, values):
        self.metrics[step] = values

    def checkpointed(self, step):
        self.saved.append(step)

    def validated(self, step, view):
        self.views[step] = view

    def note(self, sentence):
        self.notes.append(sentence)

    def is_stop_wanted(self):
        self.calls += 1  # once per step of all environments, and once per rollout
        if self.kill_at is not None and self.calls > self.kill_at:
            raise KeyboardInterrupt  # nothing is saved, as after kill -9
        return self.stop_at is not None and self.calls > self.stop_at


@pytest.fixture
def ready(db, user):
    return prepare(stored(walk(1200), user), TrainingSpec.parse(SMALL))


def spec(**changes):
    return TrainingSpec.parse(SMALL | changes)


@pytest.fixture
def whole(ready, tmp_path):
    return learn(spec(), ready, tmp_path / "whole", Ear())


def test_the_same_spec_gives_the_same_weights(ready, whole, tmp_path):
    again = learn(spec(), ready, tmp_path / "again", Ear())
    other = learn(spec(seed=4), ready, tmp_path / "other", Ear())
    assert again.network.hash == whole.network.hash != other.network.hash
    assert again.metrics == whole.metrics


@pytest.mark.parametrize("kill_at", [5, 100, 150, 240])
def test_a_killed_run_resumed_ends_with_the_weights_of_an_uninterrupted_one(ready, whole, tmp_path, kill_at):
    with pytest.raises(KeyboardInterrupt):
        learn(spec(), ready, tmp_path / "killed", Ear(kill_at=kill_at))
    torch.rand(7), np.random.rand(7)  # whatever happened to the generators in between does not matter
    resumed = learn(spec(), ready, tmp_path / "killed", Ear())
    assert resumed.network.hash == whole.network.hash
    assert (resumed.best_step, resumed.metrics) == (whole.best_step, whole.metrics)


def test_a_normalised_run_resumed_ends_as_an_uninterrupted_one(ready, tmp_path):
    chosen = spec(
        reward={"terms": {"log_return": 1, "sortino": 0.1, "turnover": 0.01}, "normalise": "returns"}
    )
    straight = learn(chosen, ready, tmp_path / "straight", Ear())
    with pytest.raises(KeyboardInterrupt):
        learn(chosen, ready, tmp_path / "broken", Ear(kill_at=150))
    resumed = learn(chosen, ready, tmp_path / "broken", Ear())
    assert resumed.network.hash == straight.network.hash
    assert resumed.normaliser == straight.normaliser
    assert resumed.normaliser["variance"] > 0


STAGED = {"stages": "volatility", "look_back": 50, "episodes": 8, "promote_at": -1, "longest": 0.9}


@pytest.mark.parametrize("kill_at", [70, 150, 200])
def test_a_run_through_stages_resumed_ends_as_an_uninterrupted_one(ready, tmp_path, kill_at):
    chosen, ear = spec(curriculum=STAGED, episode_bars=20), Ear()
    straight = learn(chosen, ready, tmp_path / "straight", ear)
    stages = [values["stage"] for _, values in sorted(ear.metrics.items()) if "stage" in values]
    assert stages == sorted(stages)
    assert {stages[0], stages[-1]} == {1.0, 3.0}
    with pytest.raises(KeyboardInterrupt):
        learn(chosen, ready, tmp_path / "broken", Ear(kill_at=kill_at))
    assert learn(chosen, ready, tmp_path / "broken", Ear()).network.hash == straight.network.hash


@pytest.mark.parametrize(("promote_at", "longest", "last"), [(100, 0.9, 1.0), (100, 0.3, 3.0)])
def test_a_stage_is_passed_by_score_or_by_time_only(ready, tmp_path, promote_at, longest, last):
    staged, ear = STAGED | {"promote_at": promote_at, "longest": longest}, Ear()
    learn(spec(curriculum=staged, episode_bars=20), ready, tmp_path, ear)
    assert ear.metrics[max(ear.metrics)]["stage"] == last


@pytest.mark.parametrize(("step", "share"), [(0, 0.2), (512, 0.6), (1023, 0.999), (1024, 1.0), (2048, 1.0)])
def test_costs_grow_to_the_full_ones(step, share):
    chosen = spec(curriculum={"costs_from": 0.2, "costs_until": 0.5})
    assert costs_share(chosen, step) == pytest.approx(share, abs=1e-3)
    assert costs_share(spec(), step) == 1.0


def test_a_run_of_growing_costs_resumed_ends_as_an_uninterrupted_one(ready, whole, tmp_path):
    chosen = spec(curriculum={"costs_from": 0.0, "costs_until": 0.6})
    straight = learn(chosen, ready, tmp_path / "straight", Ear())
    assert straight.network.hash != whole.network.hash
    with pytest.raises(KeyboardInterrupt):
        learn(chosen, ready, tmp_path / "broken", Ear(kill_at=120))
    assert learn(chosen, ready, tmp_path / "broken", Ear()).network.hash == straight.network.hash


def test_candles_too_few_for_the_stages_are_refused_before_a_run_exists(ready, db):
    with pytest.raises(BadInput, match="look_back"):
        prepared(ready.candles, ready.rows, ready.split, spec(curriculum=STAGED | {"look_back": 500}))


def test_a_futures_market_can_be_learned_and_resumed(ready, tmp_path):
    trading = {"market": "futures", "leverage": 5, "max_exposure": 5, "funding_hours": 1}
    chosen = spec(trading=trading, action={"kind": "continuous", "levels": [-5, 5]})
    straight = learn(chosen, ready, tmp_path / "straight", Ear())
    with pytest.raises(KeyboardInterrupt):
        learn(chosen, ready, tmp_path / "broken", Ear(kill_at=150))
    assert learn(chosen, ready, tmp_path / "broken", Ear()).network.hash == straight.network.hash


def test_a_market_under_breakers_and_guards_can_be_learned_and_resumed(ready, tmp_path):
    limits = {"exit_cooldown_s": 600, "daily_loss": 0.02, "max_loss_streak": 3, "safe_cooldown_s": 1800}
    chosen = spec(limits=limits)
    straight = learn(chosen, ready, tmp_path / "straight", Ear())
    with pytest.raises(KeyboardInterrupt):
        learn(chosen, ready, tmp_path / "broken", Ear(kill_at=150))
    assert learn(chosen, ready, tmp_path / "broken", Ear()).network.hash == straight.network.hash
    assert straight.network.hash != learn(spec(), ready, tmp_path / "free", Ear()).network.hash


def test_a_stopped_run_saves_and_goes_on_from_there(ready, whole, tmp_path):
    stopped = Ear(stop_at=120)
    with pytest.raises(Stopped):
        learn(spec(), ready, tmp_path / "stopped", stopped)
    saved = checkpoints.load(tmp_path / "stopped" / "checkpoint.pt")
    assert saved["steps"] == 768  # the rollout that was under way is done again
    assert stopped.steps[-1] == 768  # and the row says the same
    assert stopped.etas[0] is None  # before the first step nobody knows
    ear = Ear()
    assert learn(spec(), ready, tmp_path / "stopped", ear).network.hash == whole.network.hash
    assert min(ear.metrics) > 768


def test_how_long_a_run_takes_is_said_once_it_has_learned(ready, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "REPORT_S", 0.0)
    ear = Ear()
    learn(spec(), ready, tmp_path / "told", ear)
    told = [step for step, eta in zip(ear.steps, ear.etas, strict=True) if eta is not None]
    assert min(ear.steps) < min(told) == 8 * 32  # the first rollout


def test_a_damaged_checkpoint_starts_the_run_anew(ready, whole, tmp_path):
    with pytest.raises(Stopped):
        learn(spec(), ready, tmp_path / "damaged", Ear(stop_at=120))
    path = tmp_path / "damaged" / "checkpoint.pt"
    half = path.read_bytes()[:1000]
    path.write_bytes(half)
    ear = Ear()
    assert learn(spec(), ready, tmp_path / "damaged", ear).network.hash == whole.network.hash
    assert ear.notes == [
        "The checkpoint was damaged: the run began anew, the file is kept as checkpoint.bad."
    ]
    assert path.with_suffix(".bad").read_bytes() == half


def test_a_checkpoint_of_another_format_is_refused_and_left_alone(ready, tmp_path):
    with pytest.raises(Stopped):
        learn(spec(), ready, tmp_path / "older", Ear(stop_at=120))
    path = tmp_path / "older" / "checkpoint.pt"
    state = checkpoints.load(path)
    checkpoints.save(path, state | {"format": checkpoints.FORMAT - 1})
    before = path.read_bytes()
    with pytest.raises(BadInput, match=f"is of format {checkpoints.FORMAT - 1}, this version .* is kept"):
        learn(spec(), ready, tmp_path / "older", Ear())
    assert path.read_bytes() == before


def test_a_file_that_holds_something_else_is_damaged(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save([1, 2], path)
    with pytest.raises(checkpoints.Damaged):
        checkpoints.load(path)
    assert checkpoints.load(tmp_path / "none.pt") is None


def test_a_checkpoint_that_is_cut_off_anywhere_is_damaged(tmp_path):
    path = tmp_path / "checkpoint.pt"
    checkpoints.save(path, {"format": checkpoints.FORMAT, "weights": torch.zeros(50_000)})
    whole = path.read_bytes()
    for size in (0, 10, 1000, 4095, 5000, 70_000, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(checkpoints.Damaged):
            checkpoints.load(path)


def test_a_run_remembers_every_version_that_trained_it(ready, whole, tmp_path, monkeypatch):
    here = provenance.here()
    assert whole.makers == (here,)
    older = {"code_version": "abc+0", "versions": {**here["versions"], "torch": "1.0"}}
    monkeypatch.setattr(provenance, "here", lambda: older)
    with pytest.raises(Stopped):
        learn(spec(), ready, tmp_path / "moved", Ear(stop_at=120))
    monkeypatch.undo()
    ear = Ear(stop_at=120)
    with pytest.raises(Stopped):
        learn(spec(), ready, tmp_path / "moved", ear)
    torch_here = here["versions"]["torch"]
    assert ear.notes == [
        f"Resumed at step 768 by other versions. torch is {torch_here} here, it was 1.0. "
        "The code that shapes models has changed since."
    ]
    last = Ear()
    assert learn(spec(), ready, tmp_path / "moved", last).makers == (older, here)
    assert last.notes == []  # these versions have been at it before


def test_a_checkpoint_of_other_settings_is_refused(ready, tmp_path):
    with pytest.raises(Stopped):
        learn(spec(), ready, tmp_path / "mixed", Ear(stop_at=120))
    with pytest.raises(BadInput, match="belongs to other settings"):
        learn(spec(seed=9), ready, tmp_path / "mixed", Ear())


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    checkpoints.save(path, {"format": checkpoints.FORMAT, "steps": 1})

    def full(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(path, {"format": checkpoints.FORMAT, "steps": 2})
    monkeypatch.undo()
    assert checkpoints.load(path)["steps"] == 1
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["checkpoint.pt"]


def test_trainers_that_write_one_run_at_once_never_mix(tmp_path, monkeypatch):
    """One that was superseded may be in the middle of a checkpoint when its successor writes another."""
    path, real = tmp_path / "checkpoint.pt", checkpoints.torch.save

    def slow(state, file):
        monkeypatch.setattr(checkpoints.torch, "save", real)
        file.write(b"half")
        checkpoints.save(path, {"format": checkpoints.FORMAT, "steps": 2}, fence=2)
        file.seek(0)
        real(state, file)

    monkeypatch.setattr(checkpoints.torch, "save", slow)
    checkpoints.save(path, {"format": checkpoints.FORMAT, "steps": 1}, fence=1)
    assert checkpoints.load(path)["steps"] == 1  # whole, whichever came last
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["checkpoint.pt"]


def test_what_a_killed_trainer_left_half_written_is_removed(ready, tmp_path):
    half, later = tmp_path / "checkpoint.3.part", tmp_path / "checkpoint.5.part"
    for part in (half, later, tmp_path / "checkpoint.part"):
        part.write_bytes(b"half")
    with pytest.raises(Stopped):
        learn(spec(), ready, tmp_path, Ear(stop_at=120), fence=4)
    assert (half.exists(), later.exists()) == (False, True)
    assert sorted(one.name for one in tmp_path.glob("checkpoint*")) == ["checkpoint.5.part", "checkpoint.pt"]


def test_a_run_reports_learning_and_judging_figures(ready, tmp_path):
    ear = Ear()
    outcome = learn(spec(), ready, tmp_path / "told", ear)
    assert ear.steps[-1] == outcome.steps == 2048
    assert ear.saved == [512, 1024, 1536]
    last = ear.metrics[2048]
    named = {"reward", "policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "valid_score"}
    assert named <= set(last)
    assert outcome.validations == 3  # at 768, 1536 and the end
    assert list((tmp_path / "told" / "tb").glob("events*"))


@pytest.mark.parametrize("kind", ["hold_buy_sell", "continuous"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_numpy_thinks_as_torch_does(ready, tmp_path, kind, activation):
    from agents.envs.batched import packed
    from agents.rl.algorithms import ppo
    from agents.rl.vec_env import TradingVecEnv

    chosen = spec(action={"kind": kind}, network={"net_arch": [64, 64], "activation": activation})
    model = ppo(chosen, TradingVecEnv(packed(*ready.train), chosen.env_settings(), 8))
    seen = np.random.default_rng(1).normal(size=(500, model.observation_space.shape[0])).astype(np.float32)
    assert require_equal(model.policy, network_of(model.policy), seen) <= 1e-6


def test_numpy_is_as_exact_as_torch_where_float32_is_coarse(ready):
    from agents.envs.batched import packed
    from agents.rl.algorithms import ppo
    from agents.rl.vec_env import TradingVecEnv

    model = ppo(spec(), TradingVecEnv(packed(*ready.train), spec().env_settings(), 8))
    with torch.no_grad():
        for layer in (model.policy.action_net, model.policy.value_net):
            layer.weight.mul_(1000)
    seen = np.random.default_rng(1).normal(size=(500, model.observation_space.shape[0])).astype(np.float32)
    require_equal(model.policy, network_of(model.policy), seen)


def test_a_network_that_thinks_otherwise_is_refused(ready):
    from agents.envs.batched import packed
    from agents.rl.algorithms import ppo
    from agents.rl.vec_env import TradingVecEnv

    env = TradingVecEnv(packed(*ready.train), spec().env_settings(), 8)
    model, other = ppo(spec(), env), ppo(spec(seed=8), env)
    with pytest.raises(RuntimeError, match="differs from the trained one"):
        require_equal(model.policy, network_of(other.policy), env.batch.observations())


@pytest.mark.django_db
def test_ppo_beats_cash_and_chance_on_a_market_anybody_can_predict(user, tmp_path):
    ready = prepare(stored(waves(6000), user), spec())
    chosen = spec(
        steps=40_960,
        ppo={"n_envs": 32, "n_steps": 64, "batch_size": 512, "epochs": 8, "lr": 0.002},
        checkpoint_every=100_000,
        validate_every=10_240,
    )
    outcome = learn(chosen, ready, tmp_path, Ear())
    policy = policy_of(card_part(chosen, ready), outcome.network, name="p", policy_hash="h")
    run = validation_run(policy, ready, chosen)
    rule = baseline("random", turnover=0.05)
    rows = compute(ready.candles, rule.observation.feature_set)
    chance = simulate(ready.candles, rows, Decider(rule), chosen.env_settings(), first=ready.split.valid_from)
    assert run.equity[-1] / run.equity[0] > 2.0
    assert chance.equity[-1] / chance.equity[0] < 1.2
    assert outcome.metrics["score"] > 10
