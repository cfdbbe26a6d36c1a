"""Runs that end early, break or are pruned: exact, with a reason, the checkpoint kept."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.data import prepare
from agents.rl import checkpoints, training
from agents.rl.outcome import Judged
from agents.rl.stopping import Broken, Progress, Pruned, require_sound
from agents.rl.training import learn
from agents.spec import ALGORITHMS, TrainingSpec
from agents.spec.parts import Stopping
from tests.agents.markets import stored, walk
from tests.agents.rl.test_algorithms import made_ready, small
from tests.agents.rl.test_learning import SMALL, Ear

# No score of this market can be better by so much: the run ends after the third validation.
PATIENT = {**SMALL, "steps": 4096, "validate_every": 256, "stopping": {"patience": 2, "min_delta": 50}}


@pytest.fixture
def ready(db, user):
    return prepare(stored(walk(1200), user), TrainingSpec.parse(SMALL))


def spec(**changes):
    return TrainingSpec.parse(SMALL | changes)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.integers(1, 5), st.floats(0, 1))
def test_patience_is_the_number_of_validations_since_the_last_better_score(scores, patience, delta):
    stopping, progress = Stopping(patience=patience, min_delta=delta), Progress()
    best, at = scores[0], 0
    for index, score in enumerate(scores):
        progress.see(stopping, score, None)
        if score > best + delta:
            best, at = score, index
        assert progress.stale == index - at
        assert bool(progress.enough(stopping)) == (index - at >= patience)


def test_a_gap_must_stay_wide_for_a_while():
    stopping, progress = Stopping(gap=1.0, gap_patience=2), Progress()
    said = []
    for gap in (2.0, 0.5, 2.0, 3.0):
        progress.see(stopping, 0.0, gap)
        said.append(progress.enough(stopping))
    assert said[:3] == ["", "", ""]
    assert said[3].startswith("over-fitting: the training score was more than 1 above")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"value_loss": math.nan}, "value loss is no longer finite"),
        ({"policy_loss": math.inf}, "policy loss is no longer finite"),
        ({"kl": math.nan}, "kl is no longer finite"),
        ({"kl": 0.6}, "more than 0.5"),
        ({"entropy": 0.01}, "no longer explores"),
    ],
)
def test_what_has_broken_is_named(values, words):
    with pytest.raises(Broken, match=words):
        require_sound(Stopping(max_kl=0.5, min_entropy=0.1), values)


def test_what_is_off_or_sound_goes_on():
    require_sound(Stopping(), {"kl": 9.0, "entropy": 0.0, "explained_variance": math.nan})
    require_sound(Stopping(max_kl=0.5, min_entropy=0.1), {"kl": 0.4, "entropy": 0.2})


@pytest.mark.parametrize("kill_at", [20, 70])
def test_a_run_on_a_plateau_ends_and_killed_in_between_ends_with_the_same_weights(ready, tmp_path, kill_at):
    chosen = TrainingSpec.parse(PATIENT)
    whole = learn(chosen, ready, tmp_path / "whole", Ear())
    assert (whole.ended_early, whole.steps) == ("no better score in 2 validations", 768)
    assert whole.validations == 3
    with pytest.raises(KeyboardInterrupt):
        learn(chosen, ready, tmp_path / "killed", Ear(kill_at=kill_at))
    resumed = learn(chosen, ready, tmp_path / "killed", Ear())
    assert resumed.network.hash == whole.network.hash
    assert (resumed.steps, resumed.metrics) == (whole.steps, whole.metrics)


def test_a_run_that_gets_no_better_leaves_its_best_weights_whatever_is_kept(ready, tmp_path, monkeypatch):
    def falling(held, chosen):
        seen.append(1)
        return figures_of(held, chosen) | {"score": -float(len(seen))}

    seen, figures_of = [], training.figures_of
    monkeypatch.setattr(training, "figures_of", falling)
    outcome = learn(TrainingSpec.parse(PATIENT | {"keep": "last"}), ready, tmp_path / "ended", Ear())
    assert (outcome.steps, outcome.best_step, outcome.metrics["score"]) == (768, 256, -1.0)
    straight = SMALL | {"steps": 768, "validate_every": 256, "keep": "last"}
    whole = learn(TrainingSpec.parse(straight), ready, tmp_path / "whole", Ear())
    assert (whole.best_step, whole.metrics["score"]) == (768, -6.0)
    early = learn(TrainingSpec.parse(straight | {"steps": 256}), ready, tmp_path / "early", Ear())
    assert early.network.hash == outcome.network.hash != whole.network.hash


def test_an_older_checkpoint_takes_part_in_the_comparison():
    judged = Judged(next_step=9, best={"score": 2.0}, best_step=3, weights={"w": 1})
    judged.take(6, {"score": 1.0}, {"w": 2}, "best", False)
    assert (judged.best_step, judged.weights) == (3, {"w": 1})
    judged.take(9, {"score": 1.5}, {"w": 3}, "last", False)
    assert (judged.best_step, judged.weights) == (9, {"w": 3})
    judged.take(12, {"score": 1.0}, {"w": 4}, "last", True)
    assert (judged.best_step, judged.weights) == (3, {"w": 1})


def test_an_over_fitting_gap_ends_a_run_and_is_reported(ready, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "training_score", lambda *given: 1000.0)
    ear = Ear()
    chosen = spec(validate_every=256, stopping={"gap": 900, "gap_patience": 2})
    outcome = learn(chosen, ready, tmp_path / "gap", ear)
    assert outcome.ended_early.startswith("over-fitting")
    assert outcome.steps == 512
    assert ear.metrics[512]["training_score"] == 1000.0
    assert ear.metrics[512]["score_gap"] == pytest.approx(1000.0 - ear.metrics[512]["valid_score"])


def test_a_breaker_that_trips_leaves_a_checkpoint_from_before(ready, tmp_path):
    with pytest.raises(Broken, match=r"stopping\.max_kl"):
        learn(spec(stopping={"max_kl": 1e-9}), ready, tmp_path / "kl", Ear())
    kept = checkpoints.load(tmp_path / "kl" / "checkpoint.pt")
    assert kept["steps"] == 0
    assert all(value.isfinite().all() for value in kept["modules"]["policy"].values())


def test_whoever_compares_runs_can_prune_one_and_go_on_with_it_later(ready, tmp_path):
    seen = []

    def prune(step, score):
        seen.append((step, score))
        return len(seen) == 2

    with pytest.raises(Pruned):
        learn(spec(), ready, tmp_path / "pruned", Ear(), prune)
    assert [step for step, _ in seen] == [768, 1536]
    assert checkpoints.load(tmp_path / "pruned" / "checkpoint.pt")["steps"] == 1536
    whole = learn(spec(), ready, tmp_path / "whole", Ear())
    assert learn(spec(), ready, tmp_path / "pruned", Ear()).network.hash == whole.network.hash


def test_every_validation_is_told_with_baselines_probes_and_actions(ready, tmp_path):
    ear = Ear()
    outcome = learn(spec(), ready, tmp_path / "told", ear)
    assert list(ear.views) == [768, 1536, 2048]
    view = ear.views[2048]
    assert sum(view["actions"].values()) == pytest.approx(1)
    assert view["curve"]["equity"][0] == view["curve"]["benchmark"][0] == 1
    assert [probe["t_ms"] for probe in view["probes"]] == [
        probe["t_ms"] for probe in ear.views[768]["probes"]
    ]
    for probe in view["probes"]:
        assert sum(probe["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert len(probe["outputs"]) == len(probe["probabilities"]) == 3
    metrics = outcome.metrics
    assert metrics["excess_return"] == metrics["total_return"] - metrics["benchmark_return"]
    assert {"benchmark_sharpe", "benchmark_max_drawdown"} <= set(metrics)
    assert "valid_benchmark_return" in ear.metrics[2048]


def exploding(builder, at=600):
    """Return a builder of the learner whose gradients are no numbers from a step on."""

    def build(spec, env):
        model = builder(spec, env)
        parts = (model.policy, getattr(model, "actor", None), getattr(model, "critic", None))
        for optimizer in {
            id(o): o for o in (getattr(part, "optimizer", None) for part in parts) if o
        }.values():
            explode(model, optimizer, at)
        if spec.algorithm in ("fast_ppo", "q_table"):  # these descend by themselves
            model.train, model._learned = (
                spoilt(model, getattr(model, name, None), at) for name in ("train", "_learned")
            )
        return model

    return build


def explode(model, optimizer, at):
    step = optimizer.step

    def stepped(*given, **named):
        if model.num_timesteps >= at:
            for parameter in (one for group in optimizer.param_groups for one in group["params"]):
                parameter.grad = torch.full_like(parameter, math.nan)
        return step(*given, **named)

    optimizer.step = stepped


def spoilt(model, update, at):
    def updated(*given):
        found = update(*given)
        if model.num_timesteps >= at:
            learned = getattr(model.policy, "table", None)
            (next(model.policy.parameters()).data if learned is None else learned)[0] = math.nan
        return found

    return updated


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_weights_that_are_no_numbers_break_the_run_and_never_reach_its_checkpoint(
    algorithm, tmp_path, monkeypatch
):
    monkeypatch.setitem(training.BUILDERS, algorithm, exploding(training.BUILDERS[algorithm]))
    chosen = small(algorithm, checkpoint_every=256, validate_every=256, keep="last", averaging=0.5)
    with pytest.raises(Broken, match="no longer finite: lower the learning rate"):
        learn(chosen, made_ready(walk(1200), chosen), tmp_path, Ear())
    kept = checkpoints.load(tmp_path / "checkpoint.pt")
    assert 256 <= kept["steps"] <= 900
    learned = [*kept["modules"]["policy"].values(), *kept["judged"]["weights"].values()]
    assert not any(value.isnan().any() for value in [*learned, *kept["mean"]["weights"].values()])


def test_a_failure_of_sound_weights_is_not_called_broken(ready, tmp_path, monkeypatch):
    def failing(spec, env):
        model = builder(spec, env)
        model.train = lambda: 1 / 0
        return model

    builder = training.BUILDERS["ppo"]
    monkeypatch.setitem(training.BUILDERS, "ppo", failing)
    with pytest.raises(ZeroDivisionError):
        learn(spec(), ready, tmp_path / "failed", Ear())
