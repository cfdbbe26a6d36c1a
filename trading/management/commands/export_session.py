"""`manage.py export_session SESSION`: its whole record."""

from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand
from trading.export import export
from trading.lookup import session_named


class Command(ProductCommand):
    help = (
        "Show a session's orders, fills, decisions and equity; with --json as one object. Amounts are texts."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", help="id or name")

    def run(self, **options: Any) -> dict[str, Any]:
        record = export(session_named(options["session"]))
        counts = ", ".join(f"{len(record[key])} {key}" for key in ("orders", "fills", "decisions", "equity"))
        self.say(f"session {record['id']} ({record['name']}, {record['status']}): {counts}")
        return record
