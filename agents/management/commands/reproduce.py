"""`manage.py reproduce WHAT`: train the same once more and compare the weights."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from agents import selectors, services
from agents.commands import acting_user, follow
from agents.models import TrainedModel
from agents.services.cards import MOST_BYTES
from market.commands import ProductCommand
from market.errors import BadInput


class Command(ProductCommand):
    help = (
        "Train what a model, a run or a run card says once more and compare the weights bit for bit. Workers "
        "do it; ends with status 1 when they differ."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", help="id or name of a model, run:ID, or a run card (a .json file)")
        parser.add_argument("--series", type=int, help="id of the candles, for a card from elsewhere")
        parser.add_argument("--no-wait", action="store_true", help="queue it and do not wait for the outcome")
        parser.add_argument("--user", help="who owns the result; needed when there are several users")

    def run(self, **options: Any) -> dict[str, Any]:
        owner = acting_user(options["user"])
        run = services.reproduce(owner=owner, **self._source(owner, options))
        self.say(f"run {run.pk}: {run.name} on {run.series}, {run.steps_total:,} steps")
        for note in run.notes:
            self.say(f"  {note}")
        if not options["no_wait"]:
            follow(self, run)
            if not run.is_reproduced:
                raise CommandError(
                    f"other weights: {run.weights_hash}, not {run.expected_hash}", returncode=1
                )
            self.say(f"the same weights: {run.weights_hash}")
        return {"id": run.pk, "status": run.status, "reproduced": run.is_reproduced,
                "expected_hash": run.expected_hash, "weights_hash": run.weights_hash}  # fmt: skip

    def _source(self, owner: Any, options: dict[str, Any]) -> dict[str, Any]:
        what = options["what"]
        if what.endswith(".json"):
            try:
                with Path(what).open("rb") as file:
                    return {
                        "card": services.read_card(file.read(MOST_BYTES + 1)),
                        "series": options["series"],
                    }
            except OSError as error:
                raise BadInput(f"{what} cannot be read: {error.strerror}", "what") from None
        if what.startswith("run:"):
            found = selectors.run_named(owner, what.removeprefix("run:"))
            made = TrainedModel.objects.filter(run=found).select_related("series").first()
            if made is None:
                raise BadInput(f"run {found.pk} has left no model to compare with", "what")
            return {"model": made}
        return {"model": selectors.model_named(owner, what)}
