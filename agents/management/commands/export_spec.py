"""`manage.py export_spec RUN|PRESET`: settings as a file that `train --spec` takes."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agents import selectors
from agents.commands import acting_user
from agents.spec import PRESETS, TrainingSpec, written
from market.commands import ProductCommand


class Command(ProductCommand):
    help = "Write the complete settings of a training run, or of a preset, as a spec file for `train --spec`."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", help=f"id or name of a run, or a preset: {' | '.join(PRESETS)}")
        parser.add_argument("--format", choices=("yaml", "json"), default="yaml", help="yaml | json")
        parser.add_argument("--out", help="file to write; default: print it")
        parser.add_argument("--user", help="who owns the run; needed when there are several users")

    def run(self, **options: Any) -> dict[str, Any]:
        what = options["what"]
        if what in PRESETS:
            spec = TrainingSpec.parse(PRESETS[what]).as_dict()
        else:
            run = selectors.run_named(acting_user(options["user"]), what)
            spec = TrainingSpec.stored(run.spec).as_dict()
        text = written(spec, options["format"])
        if options["out"]:
            Path(options["out"]).write_text(text)
            self.say(f"written to {options['out']}")
        else:
            self.say(text.rstrip("\n"))
        return {"spec": spec}
