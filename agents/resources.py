"""What training uses and what the machine has: measured, so that no more runs start than it bears."""

import time
from collections.abc import Callable

import psutil

from agents.models import JobStatus, TrainingRun
from agents.parallel import MIB, RESERVE, TYPICAL_MB

SAMPLE_S = 5.0  # between two samples of a run


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
        it was at work) where the driver's library is installed.
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


def has_room() -> bool:
    """Say whether one more training process fits into the memory that is free now.

    The measured size of the largest run at work (else a typical one) must fit and leave the reserve. Where
    none is at work one may always start: waiting would change nothing.
    """
    at_work = TrainingRun.objects.filter(status=JobStatus.RUNNING).exclude(pid=None)
    here = [row for row in at_work.only("pid", "resources") if psutil.pid_exists(row.pid or 0)]
    if not here:
        return True
    memory = psutil.virtual_memory()
    wanted_mb = max([TYPICAL_MB, *(float(row.resources.get("rss_mb", 0.0)) for row in here)])
    return memory.available / MIB - wanted_mb > RESERVE * memory.total / MIB
