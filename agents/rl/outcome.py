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
    """The comparison of checkpoints so far; part of every checkpoint."""

    next_step: int
    count: int = 0
    best_step: int = 0
    best: dict[str, Any] = field(default_factory=dict)  # validation figures
    weights: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
