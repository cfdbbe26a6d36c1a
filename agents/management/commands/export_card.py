"""`manage.py export_card MODEL`: what is needed to train the same weights again."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agents import selectors, services
from agents.commands import acting_user
from market.commands import ProductCommand


class Command(ProductCommand):
    help = (
        "Write a model's run card: settings, data fingerprint, code and library versions, and the hash of "
        "its weights; `reproduce` takes it."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="id or name")
        parser.add_argument("--out", help="file to write; default: print it")
        parser.add_argument("--user", help="who owns it; needed when there are several users")

    def run(self, **options: Any) -> dict[str, Any]:
        model = selectors.model_named(acting_user(options["user"]), options["model"])
        card = services.card_of(model)
        text = json.dumps(card, indent=1, sort_keys=True)
        if options["out"]:
            Path(options["out"]).write_text(text + "\n")
            self.say(f"written to {options['out']}")
        else:
            self.say(text)
        return {"model": model.pk, "weights_hash": card["weights_hash"], "file_hash": model.file_hash}
