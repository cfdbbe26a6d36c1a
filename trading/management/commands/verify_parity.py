"""`manage.py verify_parity SESSION`: the recorded market must lead to the recorded decisions."""

import sys
from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand
from trading.lookup import session_named
from trading.parity import verify

SHOWN = 20


class Command(ProductCommand):
    help = (
        "Replay a session's recorded bars through the backtest's features and decision path and compare "
        "every decision bit for bit. Exit status 1 when one differs."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", help="id or name")

    def run(self, **options: Any) -> dict[str, Any]:
        session = session_named(options["session"])
        found = verify(session)
        self.say(
            f"{found.decisions - len(found.mismatches)} of {found.decisions} decisions are repeated exactly"
        )
        for mismatch in found.mismatches[:SHOWN]:
            self.say(f"  bar {mismatch.bar_ms}: {mismatch.what}")
        self.is_equal = not found.mismatches
        return {
            "id": session.pk,
            "decisions": found.decisions,
            "equal": not found.mismatches,
            "mismatches": [mismatch.as_dict() for mismatch in found.mismatches],
        }

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if not self.is_equal:
            sys.exit(1)
