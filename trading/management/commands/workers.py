"""`manage.py workers`: all clusters and the supervisor."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from market.commands import OUTDATED, ProductCommand, is_migrated
from market.errors import BadInput


class Command(ProductCommand):
    help = "Run all background work until Ctrl-C: the clusters default, train, live, and their supervisor."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--clusters", help="only these, comma separated: default,train,live")

    def run(self, **options: Any) -> None:
        """Become `tradebot.workers`: it wires the apps together, so no app may import it."""
        if not is_migrated():
            raise BadInput(OUTDATED)
        chosen = ["--clusters", options["clusters"]] if options["clusters"] else []
        os.chdir(settings.BASE_DIR)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "tradebot.workers", *chosen])  # noqa: S606
