"""`manage.py add_account`: an account at a venue, its secret taken from the environment or typed unseen."""

import getpass
import os
import sys
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand, user_named
from market.errors import BadInput
from trading import accounts
from trading.exchanges.registry import KEYLESS, VENUES


class Command(ProductCommand):
    help = "Add an account at a venue. The secret never appears on the command line; it is stored encrypted."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what to call it")
        parser.add_argument("--venue", required=True, help=", ".join(VENUES))
        parser.add_argument("--base-url", required=True, help="e.g. https://mock-api.roostoo.com")
        parser.add_argument("--user", required=True, help="who owns it")
        parser.add_argument("--key", default="", help="the venue's API key; a paper account needs none")
        parser.add_argument("--secret-env", metavar="VAR", help="environment variable that holds the secret")
        parser.add_argument("--candles-url", default="", help="Binance-compatible candles, for live bars")
        parser.add_argument(
            "--stream-url", default="", help="prices by WebSocket, e.g. wss://stream.bybit.com"
        )
        parser.add_argument(
            "--calls-per-minute", type=int, default=28, help="at most; the venue allows 30 (default: 28)"
        )
        parser.add_argument(
            "--poll", type=float, default=5.0, help="seconds between ticker reads (default: 5)"
        )
        parser.add_argument(
            "--foreign-orders",
            default="adopt",
            help="what sessions make of orders placed by hand: adopt or ignore (default: adopt)",
        )
        parser.add_argument("--paper-usd", help="what a paper account starts with (50000)")
        parser.add_argument(
            "--check",
            action="store_true",
            help="test the connection as well; an account that fails the test is not added",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        owner = user_named(options["user"])
        assert owner is not None  # noqa: S101 - --user is required
        needs_secret = options["venue"] in VENUES and options["venue"] not in KEYLESS
        asked: dict[str, Any] = {
            "owner": owner,
            "name": options["name"],
            "venue": options["venue"],
            "base_url": options["base_url"],
            "key": options["key"],
            "secret": _secret(options["secret_env"]) if needs_secret else "",
            "candles_url": options["candles_url"],
            "stream_url": options["stream_url"],
            "calls_per_minute": options["calls_per_minute"],
            "poll_s": options["poll"],
            "foreign_orders": options["foreign_orders"],
            "paper_usd": _amount(options["paper_usd"]),
        }
        check = None
        if options["check"]:
            account, check = accounts.create_checked_account(**asked)
        else:
            account = accounts.create_account(**asked)
        self.say(f"account {account.pk} {account.name!r} added ({accounts.masked_key(account) or 'no key'})")
        result: dict[str, Any] = {"id": account.pk, "name": account.name, "venue": account.venue}
        if check is not None:
            self.say(check.sentence)
            result |= {"ok": check.ok, "sentence": check.sentence}
        return result


def _secret(variable: str | None) -> str:
    """Return the secret from the environment, or typed by a person who is there to type it."""
    if variable is not None:
        if not os.environ.get(variable):
            raise BadInput(
                f"the environment variable {variable} is not set: put the secret there", field="secret"
            )
        return os.environ[variable]
    if not sys.stdin.isatty():
        raise BadInput(
            "name the environment variable that holds the secret with --secret-env", field="secret"
        )
    return getpass.getpass("Secret: ")


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise BadInput(f"--paper-usd {text!r} is no amount of money", field="paper_usd") from None
