"""`manage.py train`: start a training run, and follow it with --wait."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agents import services
from agents.commands import acting_user, add_series_arguments, follow, follow_all, run_row
from agents.models import TrainingRun
from agents.services.experiments import grid_of
from agents.spec import ALGORITHMS, DEVICES, PRESETS, over_preset, read_file
from market.commands import ProductCommand
from market.errors import BadInput


class Command(ProductCommand):
    help = "Train an agent on stored candles. Workers (`manage.py workers`) do it; --wait follows the run."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--agent", help=f"{' | '.join(ALGORITHMS)}; default: ppo, or the spec's")
        parser.add_argument("--device", help=f"{' | '.join(DEVICES)}; default: cpu, or the spec's")
        add_series_arguments(parser)
        parser.add_argument(
            "--pairs", help="BTC/USD,ETH/USD …: one account shared out between several, instead of --pair"
        )
        parser.add_argument(
            "--spec", metavar="FILE", help="settings in YAML or JSON; see docs/training-runs.md"
        )
        parser.add_argument("--preset", help=f"{' | '.join(PRESETS)}; default: default-1m, or the spec's")
        parser.add_argument("--steps", type=int, help="environment steps (decisions)")
        parser.add_argument("--seed", type=int, help="same seed, data and settings give the same weights")
        parser.add_argument(
            "--seeds", help="several runs, 0..4 or 1,2,7: with --grid and --windows an experiment"
        )
        parser.add_argument(
            "--grid",
            action="append",
            default=[],
            metavar="KEY=V1,V2",
            help="a setting and the values it takes",
        )
        parser.add_argument(
            "--windows", type=int, help="walk-forward windows that the candles are divided into"
        )
        parser.add_argument("--name", help="of the run and its model")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="ppo.lr=1e-4 …")
        parser.add_argument("--wait", action="store_true", help="follow the run to its end")

    def run(self, **options: Any) -> dict[str, Any]:
        owner = acting_user(options["user"])
        chosen = read_file(Path(options["spec"])) if options["spec"] else {}
        if options["agent"]:
            chosen["algorithm"] = options["agent"]
        for key in ("device", "series", "source", "pair", "interval", "from", "to", "steps", "seed"):
            if options[key] is not None:
                chosen[key] = options[key]
        if options["pairs"]:
            chosen["pairs"] = options["pairs"].split(",")
        preset = options["preset"] or ("" if options["spec"] else "default-1m")
        spec = over_preset(preset, chosen, options["set"])
        name = (
            options["name"] or f"{spec.get('algorithm', 'ppo')} {datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        )
        if options["seeds"] or options["grid"] or options["windows"]:
            return self._experiment(owner, name, spec, options)
        run = services.start_training(owner=owner, name=name, spec=spec)
        self.say(f"run {run.pk}: {run.name} on {run.candles}, {run.steps_total:,} steps")
        if options["wait"]:
            follow(self, run)
            self.say(f"model {run.model.pk}: {run.model.name}")
        return self._answer(run)

    def _experiment(
        self, owner: Any, name: str, spec: dict[str, Any], options: dict[str, Any]
    ) -> dict[str, Any]:
        if options["seeds"] and options["seed"] is not None:
            raise BadInput("give either --seed or --seeds", "seeds")
        seeds = services.seed_list(options["seeds"]) if options["seeds"] else [spec.get("seed", 0)]
        made = services.start_experiment(
            owner=owner, name=name, spec=spec, seeds=seeds, grid=grid_of(options["grid"]),
            windows=1 if options["windows"] is None else options["windows"],
        )  # fmt: skip
        self.say(f"experiment {made.pk}: {made.name} on {made.candles}, {made.runs.count()} runs")
        if options["wait"]:
            follow_all(self, made)
        rows = [run_row(run) for run in made.runs.order_by("pk").select_related("model")]
        return {"id": made.pk, "name": made.name, "runs": rows}

    def _answer(self, run: TrainingRun) -> dict[str, Any]:
        model = getattr(run, "model", None)
        return run_row(run) | {"fps": run.fps, "metrics": model.metrics if model else None}
