"""What training uses and what the machine has: measured, so that no more runs start than it bears."""

import time
from collections.abc import Callable

import psutil

from agents.models import JobStatus, TrainingRun
from agents.parallel import MIB, RESERVE, TYPICAL_MB

SAMPLE_S = 5.0  # between two samples of a run


class Sampler:
    """Measures this process every few seconds.

    :param gpu_mb: returns the device memory in use, in MiB; None where there is no GPU
    """

    def __init__(
        self, gpu_mb: Callable[[], float | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.gpu_mb, self.clock = gpu_mb, clock
        self.process = psutil.Process()
        self.process.cpu_percent()  # the first call only starts the count
        self.next_s = clock() + SAMPLE_S

    def due(self, fps: float) -> dict[str, float] | None:
        """Return `cpu` (cores in use), `rss_mb`, `queue` (runs that wait), `fps` and, with a GPU, `gpu_mb`.

        None until a sample is due.
        """
        now = self.clock()
        if now < self.next_s:
            return None
        self.next_s = now + SAMPLE_S
        found = {
            "cpu": round(self.process.cpu_percent() / 100, 3),
            "rss_mb": round(self.process.memory_info().rss / MIB, 1),
            "queue": float(TrainingRun.objects.filter(status=JobStatus.QUEUED).count()),
            "fps": round(fps, 1),
        }
        gpu = self.gpu_mb()
        return found if gpu is None else {**found, "gpu_mb": round(gpu, 1)}


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
