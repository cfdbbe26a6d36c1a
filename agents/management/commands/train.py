"""`manage.py train`: start a training run, and follow it with --wait."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agents import services
from agents.commands import acting_user, add_series_arguments
from agents.models import JobStatus, TrainingRun
from agents.spec import ALGORITHMS, PRESETS, over_preset, read_file
from market import leases
from market.commands import ProductCommand
from market.errors import BadInput

NO_WORKER_S = 60.0  # workers that were just started import for a while on a busy machine
POLL_S = 0.25


class Command(ProductCommand):
    help = "Train an agent on stored candles. Workers (`manage.py workers`) do it; --wait follows the run."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--agent", help=f"{' | '.join(ALGORITHMS)}; default: ppo, or the spec's")
        add_series_arguments(parser)
        parser.add_argument(
            "--spec", metavar="FILE", help="settings in YAML or JSON; see docs/training-runs.md"
        )
        parser.add_argument("--preset", help=f"{' | '.join(PRESETS)}; default: default-1m, or the spec's")
        parser.add_argument("--steps", type=int, help="environment steps (decisions)")
        parser.add_argument("--seed", type=int, help="same seed, data and settings give the same weights")
        parser.add_argument("--name", help="of the run and its model")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="ppo.lr=1e-4 …")
        parser.add_argument("--wait", action="store_true", help="follow the run to its end")

    def run(self, **options: Any) -> dict[str, Any]:
        owner = acting_user(options["user"])
        chosen = read_file(Path(options["spec"])) if options["spec"] else {}
        if options["agent"]:
            chosen["algorithm"] = options["agent"]
        for key in ("series", "source", "pair", "interval", "from", "to", "steps", "seed"):
            if options[key] is not None:
                chosen[key] = options[key]
        preset = options["preset"] or ("" if options["spec"] else "default-1m")
        spec = over_preset(preset, chosen, options["set"])
        name = (
            options["name"] or f"{spec.get('algorithm', 'ppo')} {datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        )
        run = services.start_training(owner=owner, name=name, spec=spec)
        self.say(f"run {run.pk}: {run.name} on {run.series}, {run.steps_total:,} steps")
        if options["wait"]:
            self._follow(run)
        return self._answer(run)

    def _follow(self, run: TrainingRun) -> None:
        began = shown = time.monotonic()
        while run.status in (JobStatus.QUEUED, JobStatus.RUNNING):
            time.sleep(POLL_S)
            run.refresh_from_db()
            waited = time.monotonic() - began
            if run.status == JobStatus.QUEUED and waited > NO_WORKER_S and not leases.is_held("supervisor"):
                raise BadInput(
                    f"no worker is running: start `manage.py workers`; run {run.pk} stays queued until then"
                )
            if time.monotonic() - shown >= 2.0:
                shown = time.monotonic()
                self._show(run)
        if run.status != JobStatus.DONE:
            reason = run.error.partition("\n")[0]
            raise BadInput(f"run {run.pk} is {run.status}" + (f": {reason}" if reason else ""))
        self._show(run)
        self.say(f"model {run.model.pk}: {run.model.name}")

    def _show(self, run: TrainingRun) -> None:
        rate = f"{run.fps:,.0f} steps/s" if run.fps else "starting"
        eta = f", ETA {run.eta_s:.0f} s" if run.eta_s else ""
        score = run.latest.get("valid_score")
        judged = f", validation score {score:+.2f}" if score is not None else ""
        self.say(
            f"{run.status} {run.steps_done:,}/{run.steps_total:,} ({run.share_done:.0%}), {rate}{eta}{judged}"
        )

    def _answer(self, run: TrainingRun) -> dict[str, Any]:
        model = getattr(run, "model", None)
        return {
            "id": run.pk,
            "status": run.status,
            "name": run.name,
            "steps_done": run.steps_done,
            "fps": run.fps,
            "model": model.pk if model else None,
            "metrics": model.metrics if model else None,
        }
