"""`manage.py create_token USER`: an API token, printed once."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand, user_named
from market.errors import BadInput
from trading import tokens


class Command(ProductCommand):
    help = "Create an API token for a user and print it once; only its hash is stored."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="user name")
        parser.add_argument("--hours", type=int, help="life in hours (default: TOKEN_HOURS)")

    def run(self, **options: Any) -> dict[str, Any]:
        hours = options["hours"]
        if hours is not None and not 1 <= hours <= 24 * 365:
            raise BadInput("--hours must be between 1 and 8760 (a year)", field="hours")
        life = None if hours is None else timedelta(hours=hours)
        row, token = tokens.create(user=user_named(options["user"]), life=life)
        self.say(f"Send it as `Authorization: Token …` until {row.expiry:%Y-%m-%d %H:%M} UTC.")
        if not self.as_json:
            self.stdout.write(token)
        return {"token": token, "expires_at": row.expiry.isoformat()}
