"""One django-q2 cluster that dies as a whole or stops as a whole: `python -m tradebot.cluster NAME`.

What plain `qcluster` gets wrong under kill -9 was measured: its children live on as orphans and keep taking
tasks, a dead sentinel leaves an unguarded cluster, and an idle worker's death takes the queue's read lock
along, so that nothing runs any more. Here every process dies with its parent, and any such death ends the
cluster with status 70; `tradebot.workers` starts it again.
"""

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from importlib import import_module
from multiprocessing import util
from types import FrameType
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradebot.settings")

PR_SET_PDEATHSIG = 1
DIED = 70
GRACE_S = 10.0
DEFAULT = "default"
PRELOADED = {"live": "trading.tasks"}  # imported before the forks: a replacement worker starts at once

LIBC = ctypes.CDLL(None, use_errno=True)  # loaded here: after a fork beside threads it might wait for ever

logger = logging.getLogger("tradebot.cluster")


def die_with_parent(_: object = None, number: int = signal.SIGKILL) -> None:
    """Ask the kernel to end this process with its parent (Linux), and end at once if that is gone already."""
    if not sys.platform.startswith("linux"):
        return
    LIBC.prctl(PR_SET_PDEATHSIG, int(number))
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():
        os._exit(DIED)


def build() -> Any:
    """Return the cluster, not started. Imports django-q2, which reads Q_CLUSTER_NAME then."""
    from django_q import cluster as q

    class WholeSentinel(q.Sentinel):
        """Ends the cluster when a process dies that may have taken a queue's lock with it."""

        def reincarnate(self, process: Any) -> None:
            is_worker = process not in (self.monitor, self.pusher)
            was_told = process.exitcode == 0 or (is_worker and process.timer.value in (0, -2))
            was_busy = is_worker and process.timer.value > 0
            if was_told or was_busy:
                super().reincarnate(process)
                return
            logger.critical("an idle queue process died (status %s): the cluster restarts", process.exitcode)
            os._exit(DIED)

    class WholeCluster(q.Cluster):
        """Stops by a flag: nothing but that happens in a signal handler, which could interrupt anything."""

        is_asked_to_stop = False

        def sig_handler(self, signum: int, frame: FrameType | None) -> None:
            self.is_asked_to_stop = True

    q.Sentinel = WholeSentinel  # `Cluster.start` looks it up here
    return WholeCluster()


def end_group_later(after_s: float) -> None:
    """Kill whatever of this process group is left after a while: a stuck task must not hold up a deploy."""

    def wait() -> None:
        time.sleep(after_s)
        logger.warning(
            "still not stopped after %.0f s: the rest is killed, its work is taken up again", after_s
        )
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def serve(name: str, ready: int | None) -> int:
    """Run the cluster until SIGTERM; return the exit status."""
    import django

    django.setup()
    from market import draining

    if name in PRELOADED:
        import_module(PRELOADED[name])
    draining.arm()
    cluster = build()
    util.register_after_fork(cluster, die_with_parent)
    cluster.start()
    if ready is not None:
        os.write(ready, b"1")
        os.close(ready)
    while not cluster.is_asked_to_stop and cluster.sentinel.is_alive():
        time.sleep(0.1)
    if not cluster.is_asked_to_stop:
        logger.critical("the cluster %s lost its sentinel", name)
        os._exit(DIED)  # the kernel ends the rest
    draining.begin()
    end_group_later(GRACE_S)
    cluster.stop()
    return 0


def main() -> None:
    name = sys.argv[1]
    if name != DEFAULT:
        os.environ["Q_CLUSTER_NAME"] = name
    die_with_parent()
    ready = int(sys.argv[2]) if len(sys.argv) > 2 else None
    status = serve(name, ready)
    os._exit(status)  # no exit handlers: django-q2's queues would wait for feeder threads


if __name__ == "__main__":
    main()
