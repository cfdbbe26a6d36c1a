"""`manage.py run_training ID --fence N`: the training process itself; started by the `train` workers."""

import signal
import sys
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.models import TrainingRun
from agents.progress import RunRow


class Command(BaseCommand):
    help = (
        "Train one run (internal: workers start this). SIGTERM saves a checkpoint and exits with status 75."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", type=int, help="of the training run")
        parser.add_argument("--fence", type=int, required=True, help="of the lease training:<id>")

    def handle(self, *args: Any, **options: Any) -> None:
        found = TrainingRun.objects.filter(pk=options["run_id"]).first()
        if found is None:
            raise CommandError(f"there is no training run {options['run_id']}", returncode=2)
        from agents.rl import job  # torch is imported only here, in a process of its own

        listener = job.RowListener(RunRow(found, options["fence"]))

        def stop(signum: int, frame: FrameType | None) -> None:
            listener.stop = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal: the worker decides
        sys.exit(job.run(listener))
