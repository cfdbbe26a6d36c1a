"""`manage.py collect_ticks`: keep a venue's live quotes as rows."""

import time
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand
from market.errors import BadInput
from trading.accounts import account_named, failure
from trading.exchanges.errors import ExchangeError
from trading.exchanges.port import Exchange
from trading.exchanges.registry import close, connect
from trading.models import Account
from trading.ticks import collect

LONGEST_POLL_S = 3600
LONGEST_S = 10 * 365 * 86_400


class Command(ProductCommand):
    help = (
        "Take an account's quotes every few seconds, from its price stream where it has one, and store them, "
        "until Ctrl-C or for --seconds."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", required=True, help="name or id of an account")
        parser.add_argument("--user", help="owner, where several people have an account of that name")
        parser.add_argument("--pair", action="append", help="repeatable; every quoted pair unless given")
        parser.add_argument("--seconds", type=float, help="stop after so long")
        parser.add_argument(
            "--poll", type=float, help="seconds between reads; the account's own unless given"
        )
        parser.add_argument(
            "--batch",
            type=float,
            default=15.0,
            help="seconds between writes to the database (default: 15)",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        account = account_named(options["account"], user=options["user"])
        poll_s = account.poll_s if options["poll"] is None else options["poll"]
        if not 0 < poll_s <= LONGEST_POLL_S:
            raise BadInput(f"--poll must be above 0 and at most {LONGEST_POLL_S} seconds", field="poll")
        if options["seconds"] is not None and not 0 <= options["seconds"] <= LONGEST_S:
            raise BadInput(f"--seconds must be from 0 to {LONGEST_S:,}", field="seconds")
        if not 0 <= options["batch"] <= LONGEST_POLL_S:
            raise BadInput(f"--batch must be from 0 to {LONGEST_POLL_S} seconds", field="batch")
        exchange = connect(account, with_stream=True)
        try:
            return self._collect(account, exchange, poll_s, options)
        finally:
            close(exchange)

    def _collect(
        self, account: Account, exchange: Exchange, poll_s: float, options: dict[str, Any]
    ) -> dict[str, Any]:
        pairs = options["pair"]
        if pairs:
            try:
                unknown = sorted(set(pairs) - set(exchange.instruments()))
            except ExchangeError as error:
                raise BadInput(failure(account, error), field="account") from error
            if unknown:
                raise BadInput(f"{account} has no pair {unknown[0]}", field="pair")
        self.say(f"collecting {', '.join(pairs) if pairs else 'every pair'} of {account} every {poll_s:g} s")
        done = collect(
            exchange,
            account.prices,
            pairs,
            poll_s=poll_s,
            seconds=options["seconds"],
            monotonic_s=time.monotonic,
            sleep=time.sleep,
            say=self.say,
            batch_s=options["batch"],
        )
        if not done.reads:
            raise BadInput(f"no quotes of {account} came: {done.last_error}", field="account")
        self.say(f"stored {done.ticks} ticks of {done.reads} reads, {done.errors} failed")
        return asdict(done)
