"""From calm to crash: where episodes start, and when the learner has earned the next stage."""

from typing import Any

import numpy as np

from agents.envs.rows import start_range
from agents.envs.stages import STAGES, classes, starts_of
from agents.rl.vec_env import TradingVecEnv
from agents.spec import TrainingSpec
from market.candles import Candles


class Curriculum:
    """Moves an environment's episode starts through the stages, between two rollouts.

    A stage is passed once the mean return of its last `episodes` finished episodes is above `promote_at`, or
    when it has lasted its longest share of the run: nobody stays a beginner for ever.
    """

    def __init__(self, spec: TrainingSpec, env: TradingVecEnv, candles: Candles) -> None:
        """:raises BadInput: when the candles do not give every stage a place to start"""
        self.given, self.env, self.scale = spec.curriculum, env, spec.reward.scale
        self.longest = spec.curriculum.longest * spec.steps
        found = classes(candles.close, self.given.look_back)
        first, last = start_range(len(candles), spec.env_settings())
        self.starts = [starts_of(found, stage, first, last) for stage in range(len(STAGES))]
        env.remember_episodes(self.given.episodes)
        self.began = 0
        self._enter(0)

    def advance(self, step: int) -> None:
        """Pass to the next stage if it is due at this step; ask between rollouts only."""
        is_due = step > self.began and (self._is_good() or step - self.began >= self.longest)
        if is_due and self.stage + 1 < len(STAGES):
            self.began = step
            self._enter(self.stage + 1)

    @property
    def score(self) -> float | None:
        """Return the mean return of the stage's last finished episodes, unscaled; None before the first."""
        finished = self.env.finished
        return float(np.mean(finished)) / self.scale if finished else None

    def latest(self) -> dict[str, float]:
        """Return what a run reports of it."""
        score = self.score
        return {"stage": float(self.stage + 1)} | ({} if score is None else {"stage_score": score})

    def state(self) -> dict[str, Any]:
        """Return what `set_state` needs; the finished episodes are part of the environment's own state."""
        return {"stage": self.stage, "began": self.began}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to a stage, without forgetting the episodes that count for it."""
        self.stage, self.began = state["stage"], state["began"]
        self.env.batch.set_starts(self.starts[self.stage])

    def _is_good(self) -> bool:
        score = self.score
        is_full = len(self.env.finished) >= self.given.episodes
        return is_full and score is not None and score > self.given.promote_at

    def _enter(self, stage: int) -> None:
        self.stage = stage
        self.env.finished.clear()
        self.env.batch.set_starts(self.starts[stage])


def costs_share(spec: TrainingSpec, step: int) -> float:
    """Return the share of the costs that is charged in the rollout that begins at a step: it grows evenly."""
    given = spec.curriculum
    until = given.costs_until * spec.steps
    if step >= until:
        return 1.0
    return given.costs_from + (1.0 - given.costs_from) * step / until
