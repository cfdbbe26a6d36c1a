"""`manage.py verify_parity SESSION`: the recorded market must lead to the recorded decisions."""

import sys
from collections import Counter
from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand
from market.errors import BadInput
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
        if found.unrepeated and len(found.unrepeated) == found.decisions:
            why = found.unrepeated[-1].what
            raise BadInput(f"none of the {found.decisions} decisions can be repeated: {why}", "session")
        self.say(f"{found.repeated} of {found.decisions} decisions are repeated exactly")
        for what, count in Counter(one.what for one in found.unrepeated).items():
            self.say(f"  {count} cannot be repeated: {what}")
        for mismatch in found.mismatches[:SHOWN]:
            self.say(f"  bar {mismatch.bar_ms}: {mismatch.what}")
        self.is_equal = not found.mismatches
        return {
            "id": session.pk,
            "decisions": found.decisions,
            "equal": not found.mismatches,
            "mismatches": [mismatch.as_dict() for mismatch in found.mismatches],
            "unrepeated": [one.as_dict() for one in found.unrepeated],
        }

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if not self.is_equal:
            sys.exit(1)
