"""`manage.py promote MODEL`: choose a model for live trading."""

from typing import Any

from django.core.management.base import CommandParser

from agents import selectors, services
from agents.commands import acting_user
from market.commands import ProductCommand


class Command(ProductCommand):
    help = "Choose a trained model for live trading, once its files are proven unchanged."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="id or name")
        parser.add_argument("--user", help="who owns it; needed when there are several users")

    def run(self, **options: Any) -> dict[str, Any]:
        owner = acting_user(options["user"])
        model = services.promote(selectors.model_named(owner, options["model"]), by=owner)
        self.say(f"model {model.pk}, {model.name}, is promoted")
        return {"id": model.pk, "name": model.name, "status": model.status, "file_hash": model.file_hash}
