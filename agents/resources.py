"""What training uses and what the machine has: measured, so that no more runs start than it bears."""

import fcntl
import time
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path

import psutil
from django.conf import settings

from agents.models import JobStatus, TrainingRun
from agents.parallel import MIB, RESERVE, TYPICAL_MB
from agents.spec import KNOWN, TrainingSpec
from agents.spec.algorithms import Replay
from market import leases
from market.errors import BadInput

SAMPLE_S = 5.0  # between two samples of a run
DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


class Sampler:
    """Measures this process every few seconds.

    :param gpu: returns what is used of a graphics processor, see `due`; empty where there is none
    """

    def __init__(
        self, gpu: Callable[[], dict[str, float]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.gpu, self.clock = gpu, clock
        self.process = psutil.Process()
        self.process.cpu_percent()  # the first call only starts the count
        self.next_s = clock() + SAMPLE_S

    def due(self, fps: float) -> dict[str, float] | None:
        """Return `cpu` (cores in use), `rss_mb`, `queue` (runs that wait) and `fps`; None until one is due.

        With a GPU also `gpu_mb` (memory held by this process), `gpu_free_mb`, and `gpu` (share of the time
        it was at work) where the driver tells it.
        """
        now = self.clock()
        if now < self.next_s:
            return None
        self.next_s = now + SAMPLE_S
        return {
            "cpu": round(self.process.cpu_percent() / 100, 3),
            "rss_mb": round(self.process.memory_info().rss / MIB, 1),
            "queue": float(TrainingRun.objects.filter(status=JobStatus.QUEUED).count()),
            "fps": round(fps, 1),
            **self.gpu(),
        }


def has_gpu() -> bool:
    """Say whether this machine has the driver of a GPU, for processes that do not load torch."""
    return any(path.exists() for path in DRIVERS)


def needed_mb(spec: TrainingSpec) -> float:
    """Return the resident size that a run of this spec grows to, about."""
    return TYPICAL_MB + _held_mb(spec, has_gpu())


def _held_mb(spec: TrainingSpec, is_on_gpu: bool) -> float:
    """Return what rollout or replay memory take.

    The libraries sort a rollout into minibatches, and a checkpoint is written from copies of a replay memory:
    for a moment everything held is there twice. On a GPU it is not here.
    """
    return 0.0 if spec.device == "cuda" and is_on_gpu else 2 * spec.bytes_held / MIB


def require_room(spec: TrainingSpec, is_on_gpu: bool | None = None) -> None:
    """Refuse what this machine could never hold.

    :param is_on_gpu: whether there is a GPU for those who ask for one; None: as `has_gpu` says
    :raises BadInput: for a run that this machine's memory could never hold
    """
    total = psutil.virtual_memory().total / MIB
    held = _held_mb(spec, has_gpu() if is_on_gpu is None else is_on_gpu)
    room = max((1 - RESERVE) * total - TYPICAL_MB, RESERVE * total)  # a tiny machine trains, too, if slowly
    if held <= room:
        return
    section, is_replay = KNOWN[spec.algorithm].sections[0], isinstance(spec.learning, Replay)
    what, how = ("replay memory", "buffer_size") if is_replay else ("rollout", "n_envs or n_steps")
    raise BadInput(
        f"the run's {what} would take about {held / 1024:,.1f} GiB; of the {total / 1024:,.1f} GiB of this "
        f"machine {room / 1024:,.1f} are for it: lower {section}.{how}, or window",
        f"{section}.{'buffer_size' if is_replay else 'n_steps'}",
    )


def has_room(wanted_mb: float = TYPICAL_MB, asking: int | None = None) -> bool:
    """Say whether one more training process fits into the memory that is free now.

    What it needs, and no less than the measured size of the largest run at work, must fit and leave the
    reserve; what a run that has just begun is still to take counts as taken. Where none is at work one may
    always start: what the machine could never hold is refused by `require_room`, and waiting for other
    programs might last for ever. Ask, and start, behind the `Door`.

    A run is at work while somebody holds its lease: the number of a process that has ended may be another's.

    :param wanted_mb: as `needed_mb` says
    :param asking: the run that wants to start; what its row says of a process is of an earlier one
    """
    at_work = TrainingRun.objects.filter(status=JobStatus.RUNNING).exclude(pid=None).exclude(pk=asking or 0)
    here = [
        row
        for row in at_work.only("pid", "resources")
        if psutil.pid_exists(row.pid or 0) and leases.is_held(row.lease_name)
    ]
    if not here:
        return True
    memory = psutil.virtual_memory()
    wanted_mb = max([wanted_mb, *(float(row.resources.get("rss_mb", 0.0)) for row in here)])
    growing_mb = sum(max(0.0, TYPICAL_MB - _size_mb(row.pid or 0)) for row in here)
    return memory.available / MIB - growing_mb - wanted_mb > RESERVE * memory.total / MIB


def _size_mb(pid: int) -> float:
    """Return the resident size of a process; of one that has just ended, what it would have taken."""
    try:
        return psutil.Process(pid).memory_info().rss / MIB
    except psutil.Error:
        return TYPICAL_MB


class Door:
    """One process of this machine at a time goes from the question for room to a run's process with a pid.

    Two that asked at once would both be told that there is room for one. Released by `close`, by leaving the
    block, and by the end of the process.
    """

    def __init__(self) -> None:
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> "Door":
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        self._file = (settings.VAR_DIR / "training.lock").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return self

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __exit__(self, *_: object) -> None:
        self.close()
