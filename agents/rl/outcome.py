"""What a training run tells while it runs, compares, and leaves behind."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from agents.policies.team import Mind
from agents.rl.stopping import Progress


class Listener(Protocol):
    """Who is told how a run is doing. Any method may raise to end the run at once, without a checkpoint."""

    def progress(self, *, steps: int, fps: float, eta_s: float | None, latest: dict[str, float]) -> None: ...
    def metric(self, step: int, values: dict[str, float]) -> None: ...
    def checkpointed(self, step: int) -> None: ...
    def validated(self, step: int, view: dict[str, Any]) -> None: ...
    def note(self, sentence: str) -> None: ...
    def is_stop_wanted(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run leaves behind."""

    network: Mind  # of the best checkpoint by validation score
    policy_zip: bytes  # the same weights in the library's own format
    steps: int
    best_step: int
    metrics: dict[str, Any]  # validation figures of the kept checkpoint
    validations: int  # how many checkpoints were compared
    last_score: float
    ended_early: str = ""  # why the run ended before its steps were done
    normaliser: dict[str, float] | None = None  # statistics of the returns that rewards were divided by
    makers: tuple[
        dict[str, Any], ...
    ] = ()  # `provenance.here` of who trained it; several where versions changed


@dataclass(slots=True)
class Judged:
    """The comparison of checkpoints so far; part of every checkpoint. `best` is what is kept by now."""

    next_step: int
    count: int = 0
    best_step: int = 0
    best: dict[str, Any] = field(default_factory=dict)  # validation figures
    weights: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    peak: dict[str, Any] = field(default_factory=dict)  # best, best_step and weights of the highest score

    def take(
        self, step: int, figures: dict[str, Any], weights: dict[str, Any], keep: str, is_over: bool
    ) -> None:
        """Compare one more checkpoint.

        :param keep: best or last
        :param is_over: the run ends because it gets no better: the last weights are what it is ended for, so
            that the best are kept whatever `keep` says
        """
        if not self.peak and self.weights:
            self.peak = {"best": self.best, "best_step": self.best_step, "weights": self.weights}
        if not self.peak or figures["score"] >= self.peak["best"]["score"]:
            self.peak = {"best": figures, "best_step": step, "weights": weights}
        if keep == "last" and not is_over:
            self.best, self.best_step, self.weights = figures, step, weights
        else:
            self.best, self.best_step, self.weights = (
                self.peak[name] for name in ("best", "best_step", "weights")
            )
