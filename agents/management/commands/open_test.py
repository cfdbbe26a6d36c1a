"""`manage.py open_test MODEL --reason …`: look at a model's sealed test part, for good."""

from typing import Any

from django.core.management.base import CommandParser

from agents import selectors, services
from agents.commands import acting_user
from agents.models import JobStatus
from market.commands import ProductCommand
from market.errors import BadInput


class Command(ProductCommand):
    help = (
        "Open the sealed test part of a model and backtest the model on it. Who, when and why are recorded, "
        "and every later result of the model says how often it was opened."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="id or name")
        parser.add_argument("--reason", required=True, help="why now; kept with your name")
        parser.add_argument("--user", help="who owns it; needed when there are several users")

    def run(self, **options: Any) -> dict[str, Any]:
        owner = acting_user(options["user"])
        model = selectors.model_named(owner, options["model"])
        opening = services.open_test(model=model, by=owner, reason=options["reason"])
        assert opening.backtest is not None  # noqa: S101  for the type checker: it was made with it
        backtest = services.run_backtest(opening.backtest.pk)
        if backtest.status == JobStatus.FAILED:
            raise BadInput(backtest.error.partition("\n")[0])
        count = services.openings(model)["count"]
        self.say(f"the test part of model {model.pk}, {model.name}, is open; it was opened {count} times")
        for line in backtest.assumptions:
            self.say(f"  {line}")
        return {"id": opening.pk, "model": model.pk, "openings": count, "backtest": backtest.pk,
                "status": backtest.status, "metrics": backtest.metrics}  # fmt: skip
