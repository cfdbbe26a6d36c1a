"""One training run: learn, judge on later data now and then, keep the best, survive being stopped."""

import io
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents import provenance
from agents.artefacts import policy_of
from agents.evaluation import insight
from agents.evaluation.data import Prepared
from agents.evaluation.score import SHOWN, figures_of, training_score, validation_run
from agents.rl import checkpoints
from agents.rl.algorithms import BUILDERS
from agents.rl.averaging import RunningMean
from agents.rl.curriculum import Curriculum, costs_share
from agents.rl.device.vec_env import DeviceVecEnv
from agents.rl.figures import of_the_log
from agents.rl.markets import training_market
from agents.rl.networks import met, network_of, require_equal
from agents.rl.outcome import Judged, Listener, Outcome
from agents.rl.stopping import (
    NOT_FINITE,
    Broken,
    Enough,
    Progress,
    Pruned,
    is_finite,
    require_finite,
    require_sound,
)
from agents.rl.vec_env import TradingVecEnv
from agents.spec import TrainingSpec
from market.errors import BadInput

REPORT_S = 1.0  # between two progress reports
METRIC_ROWS = 250  # kept per run
LEAST_REWARDS = 64  # decisions of each account behind a reported mean reward
PROBES = 512  # observations on which torch and numpy are compared


class Stopped(Exception):
    """Somebody asked the run to stop; its checkpoint is written."""


def card_part(spec: TrainingSpec, prepared: Prepared) -> dict[str, Any]:
    """Return what of a model's card says how its observation and actions are made."""
    env = spec.env_settings()
    forecasting = prepared.forecasting
    return {
        **({} if forecasting is None else {"forecast": forecasting.to_json()}),
        "feature_set": spec.feature_set().to_json(),
        "feature_set_hash": spec.feature_set().hash,
        "scaler": prepared.scaler.to_json(),
        "window": spec.lookback,
        "bars_scale": spec.bars_scale,
        "decision_every": spec.decision_every,
        "action": env.allowed_action.to_dict(),
    }


def learn(
    spec: TrainingSpec,
    prepared: Prepared,
    folder: Path,
    listener: Listener,
    prune: Callable[[int, float], bool] | None = None,
    device: torch.device | None = None,
    fence: int = 0,
) -> Outcome:
    """Train as the spec says, from the checkpoint in `folder` if there is one.

    :param device: where market and learner are tensors, as `device.placement.placed` says; None is the CPU's
        own learners
    :param prune: is given step and score of every validation; what it answers yes to is ended
    :param fence: of the lease that the run is trained under
    :raises Stopped: when the listener asked to stop
    :raises Pruned: when `prune` said so
    :raises Broken: when losses or weights are no numbers, or a breaker of the spec trips; the last checkpoint
        from before, if there was one, is written
    :raises BadInput: when the checkpoint is another version's, or belongs to another spec, other candles or
        another device; it is left alone
    :raises torch.OutOfMemoryError: when the GPU has no more; what was learned is in the checkpoint
    """
    if spec.forecast.kind != "none" and prepared.forecasting is None:
        raise ValueError("the forecast is fitted first: agents.rl.forecasting.with_forecast")
    torch.set_num_threads(1)  # more threads gain nothing on small networks and lose under contention
    env = training_market(spec, prepared, device)
    model = BUILDERS[spec.algorithm](spec, env)
    model.set_logger(configure(str(folder / "tb"), ["tensorboard"]))
    run = _Run(spec, prepared, folder, listener, model, env)
    run.prune, run.fence = prune, fence
    is_resumed = run.resume()
    left = max(0, spec.steps - model.num_timesteps) if is_resumed else spec.steps
    try:
        with suppress(Enough):
            model.learn(left, callback=_Callback(run), reset_num_timesteps=not is_resumed)
        return run.finish()
    except torch.OutOfMemoryError:
        run.save()  # what was learned before this rollout; a copy to the host takes no memory of the GPU
        raise
    except Broken:
        run.save()
        raise
    except Exception as error:
        # Weights are looked at between updates; here are those that broke within one, and whatever a library
        # says of them is no help to people.
        if is_finite(model):
            raise
        run.save()
        raise Broken(NOT_FINITE, "spec") from error
    finally:
        model.logger.close()


class _Run:
    """The moments of a run: between two updates, at every step, at the end."""

    def __init__(
        self,
        spec: TrainingSpec,
        prepared: Prepared,
        folder: Path,
        listener: Listener,
        model: BaseAlgorithm,
        env: TradingVecEnv,
    ) -> None:
        self.spec, self.prepared, self.listener = spec, prepared, listener
        self.model, self.env, self.path = model, env, folder / "checkpoint.pt"
        self.card = card_part(spec, prepared)
        self.identity = {"spec": spec.completed().model_dump_json(), "data": prepared.fingerprint}
        if isinstance(env, DeviceVecEnv):
            self.identity["device"] = env.device.type
        # A rollout is long and done again after a stop; a step between updates from a memory is soon over.
        self.is_on_policy = isinstance(model, OnPolicyAlgorithm)
        self.makers = [provenance.here()]
        self.rewards: list[Any] = []  # means of steps; a GPU's stay there until the rollout is done
        self.judged = Judged(next_step=_every(spec.validate_every, spec))
        staged = spec.curriculum.stages != "off"
        self.curriculum = Curriculum(spec, env, prepared.train[0]) if staged else None
        self.mean, self.averaged_step = RunningMean(spec.averaging), 0
        self.next_checkpoint = _every(spec.checkpoint_every, spec)
        self.next_metric = 0
        self.snapshot: dict[str, Any] | None = None
        self.saved_step = 0
        self.latest: dict[str, float] = {}
        self.prune: Callable[[int, float], bool] | None = None
        self.fence = 0
        self.clock: Callable[[], float] = time.monotonic
        self.began_s, self.began_step, self.reported_s = self.clock(), 0, 0.0

    def resume(self) -> bool:
        """Go back to the checkpoint; False when there is none, or a damaged one, which is set aside."""
        checkpoints.clear(self.path, self.fence)
        try:
            state = checkpoints.load(self.path)
        except checkpoints.Damaged:
            aside = checkpoints.set_aside(self.path)
            self.listener.note(
                f"The checkpoint was damaged: the run began anew, the file is kept as {aside.name}."
            )
            return False
        if state is None:
            return False
        if checkpoints.present(state["identity"]) != self.identity:
            raise BadInput(
                "the checkpoint belongs to other settings, other candles or another device: start a new run",
                "spec",
            )
        checkpoints.restore(self.model, self.env, state)
        judged = dict(state["judged"])
        progress = Progress(**judged.pop("progress", {}))
        self.judged = Judged(**judged, progress=progress)
        self.mean.set_state(state["mean"])
        if self.curriculum is not None:
            self.curriculum.set_state(state["curriculum"])
        self.next_checkpoint, self.next_metric = state["next_checkpoint"], state["next_metric"]
        self.averaged_step, self.latest = state["averaged_step"], state["latest"]
        self.rewards = list(state.get("rewards", []))
        self.began_step = self.model.num_timesteps
        self._see_makers(state.get("makers", []))
        return True

    def _see_makers(self, before: list[dict[str, Any]]) -> None:
        """Take note of the code and the libraries that made the checkpoint, where they are not these."""
        changed = provenance.differences(before[-1]) if before else []
        if changed:
            self.listener.note(f"Resumed at step {self.began_step:,} by other versions. {' '.join(changed)}")
            self.makers = [*before, *self.makers]
        elif before:
            self.makers = before

    def between_updates(self) -> None:
        """Judge, report and save what is due; the state here is what a checkpoint holds."""
        step = self.model.num_timesteps
        is_stop_wanted = self.listener.is_stop_wanted()
        self.env.batch.set_costs(costs_share(self.spec, step))
        if step:
            self._read_logger()
            self._average(step)
            if self.curriculum is not None:
                self.latest |= self.curriculum.latest()
                self.curriculum.advance(step)
            if step >= self.judged.next_step:
                self._judge()
                self.judged.next_step = step + _every(self.spec.validate_every, self.spec)
            if step >= self.next_metric:
                self.listener.metric(step, dict(self.latest))
                self.next_metric = step + max(1, self.spec.steps // METRIC_ROWS)
        self._end_early(step)
        is_due = step >= self.next_checkpoint
        if is_due:
            self.next_checkpoint = step + _every(self.spec.checkpoint_every, self.spec)
        if self.is_on_policy or is_due or is_stop_wanted:
            self.snapshot, self.saved_step = self._captured(), step
        if is_due:
            self.save()
            self.listener.checkpointed(step)
        self._pause(is_stop_wanted)

    def each_step(self, rewards: np.ndarray) -> None:
        """Report about once a second; stop when asked, back at the state before this rollout."""
        self.rewards.append(rewards.mean())
        self._pause(self.is_on_policy and self.listener.is_stop_wanted())

    def _pause(self, is_stop_wanted: bool) -> None:
        now = self.clock()
        if is_stop_wanted:
            self.save()
            self._report(now, self.saved_step)  # what the checkpoint holds, so that row and curves agree
            raise Stopped
        if now - self.reported_s >= REPORT_S:
            self.reported_s = now
            self._report(now, self.model.num_timesteps)

    def after_rollout(self) -> None:
        """Note what the decisions were worth; the update follows."""
        if not self.is_on_policy and len(self.rewards) < LEAST_REWARDS:
            return  # a few decisions say nothing
        raw = self.env.mean_reward()
        mean = float(np.mean([float(one) for one in self.rewards])) if raw is None else raw
        self.latest["reward"] = mean / self.spec.reward.scale
        if self.env.normaliser is not None:
            self.latest["return_deviation"] = self.env.normaliser.deviation
        self.rewards.clear()
        episodes = self.model.ep_info_buffer
        if episodes:
            returns = [episode["r"] for episode in episodes]
            self.latest["episode_return"] = float(np.mean(returns)) / self.spec.reward.scale

    def finish(self) -> Outcome:
        """Judge the final weights, take the best ones, and prove that numpy thinks as torch does."""
        self._read_logger()
        self._average(self.model.num_timesteps)
        if self.judged.last.get("step") != self.model.num_timesteps:
            self._judge()
        self.listener.metric(self.model.num_timesteps, dict(self.latest))
        self._report(self.clock(), self.model.num_timesteps)
        last_score = float(self.judged.last["score"])
        self.model.policy.load_state_dict(self.judged.weights)
        network = network_of(self.model.policy)
        require_equal(self.model.policy, network, met(self.model, self.env, network.inputs)[:PROBES])
        archive = io.BytesIO()
        self.model.save(archive)
        return Outcome(
            network,
            archive.getvalue(),
            self.model.num_timesteps,
            self.judged.best_step,
            self.judged.best,
            self.judged.count,
            last_score,
            self.judged.progress.enough(self.spec.stopping),
            None if self.env.normaliser is None else self.env.normaliser.facts(),
            tuple(self.makers),
        )

    def _end_early(self, step: int) -> None:
        """:raises Enough: when the validations say so; a resumed run comes by here again and ends as well"""
        if step and self.judged.progress.enough(self.spec.stopping):
            raise Enough
        is_new = self.prune is not None and self.judged.last.get("step") == step
        if self.prune is not None and is_new and self.prune(step, float(self.judged.last["score"])):
            self.snapshot, self.saved_step = self._captured(), step
            self.save()
            raise Pruned

    def _average(self, step: int) -> None:
        """Take the weights of an update into the mean, once: a resumed run comes by here again."""
        if self.spec.averaging and step > self.averaged_step:
            self.averaged_step = step
            self.mean.see(self.model.policy.state_dict())

    def _judge(self) -> None:
        with self.mean.worn_by(self.model.policy):
            network = network_of(self.model.policy)
            weights = checkpoints.copied(self.model.policy.state_dict())
        policy = policy_of(self.card, network, name="checkpoint", policy_hash=network.hash)
        acted: Counter[str] = Counter()
        held = validation_run(policy, self.prepared, self.spec, acted)
        figures = figures_of(held, self.spec)
        judged, step = self.judged, self.model.num_timesteps
        judged.count += 1
        gap = None
        if self.spec.stopping.gap:
            learned = training_score(policy, self.prepared, self.spec)
            gap = learned - figures["score"]
            self.latest |= {"training_score": learned, "score_gap": gap}
        judged.progress.see(self.spec.stopping, figures["score"], gap)
        judged.last = {"step": step, "score": figures["score"]}
        is_over = bool(judged.progress.enough(self.spec.stopping))
        judged.take(step, figures, weights, self.spec.keep, is_over)
        self.listener.validated(
            step,
            {
                "curve": insight.growth(held, self.spec),
                "actions": insight.shares(held, acted),
                "probes": insight.probes(policy, self.prepared),
            },
        )
        shown = {name: figures[name] for name in SHOWN if figures[name] is not None}
        self.latest = {k: v for k, v in self.latest.items() if not k.startswith("valid_")}
        self.latest |= {"valid_score": figures["score"], **{f"valid_{k}": float(v) for k, v in shown.items()}}
        for name, value in self.latest.items():
            if name.startswith("valid_"):
                self.model.logger.record(f"validation/{name.removeprefix('valid_')}", value)

    def _read_logger(self) -> None:
        logged = self.model.logger.name_to_value
        values = of_the_log(logged, self.spec.algorithm, self.env.batch.action.names)
        require_sound(self.spec.stopping, values)
        require_finite(self.model)
        self.latest |= {name: value for name, value in values.items() if np.isfinite(value)}

    def _captured(self) -> dict[str, Any]:
        judged = self.judged
        return {
            **checkpoints.capture(self.model, self.env),
            "identity": self.identity,
            "judged": {  # weights are never changed
                **{name: getattr(judged, name) for name in Judged.__slots__},
                "progress": asdict(judged.progress),
            },
            "next_checkpoint": self.next_checkpoint,
            "next_metric": self.next_metric,
            "mean": self.mean.state(),
            "curriculum": None if self.curriculum is None else self.curriculum.state(),
            "averaged_step": self.averaged_step,
            "latest": dict(self.latest),
            "rewards": [float(one) for one in self.rewards],
            "makers": self.makers,
        }

    def save(self) -> None:
        """Write the last state between two updates, if there has been one."""
        if self.snapshot is not None:
            checkpoints.save(self.path, self.snapshot, self.fence)

    def _report(self, now: float, done: int) -> None:
        fps = (done - self.began_step) / max(now - self.began_s, 1e-9)
        left = max(0, self.spec.steps - done)
        # Before the first update most of the time went into compiling: a rest of hours would be foretold.
        is_known = done - self.began_step >= self.spec.learning.rollout
        self.listener.progress(
            steps=done, fps=fps, eta_s=left / fps if is_known else None, latest=dict(self.latest)
        )


class _Callback(BaseCallback):
    def __init__(self, run: _Run) -> None:
        super().__init__()
        self.run = run

    def _on_rollout_start(self) -> None:
        self.run.between_updates()

    def _on_step(self) -> bool:
        self.run.each_step(self.locals["rewards"])
        return True

    def _on_rollout_end(self) -> None:
        self.run.after_rollout()


def _every(asked: int | None, spec: TrainingSpec) -> int:
    """Return a schedule's interval in steps; it acts at the first rollout boundary after that many."""
    return asked if asked is not None else max(spec.learning.rollout, spec.steps // 10)
