"""`manage.py start_session`: have a model or a fixed rule trade a pair."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandParser

from agents.policies import BASELINES
from agents.selectors import policy_named
from market.candles import MS, interval_name
from market.commands import ProductCommand
from market.errors import BadInput
from trading import services
from trading.accounts import account_named
from trading.lookup import profile_named


class Command(ProductCommand):
    help = (
        "Start a live session of a model, a fixed rule or a council. The workers (manage.py workers) take it "
        "up within seconds."
    )

    def arguments(self, parser: CommandParser) -> None:
        policy = parser.add_mutually_exclusive_group(required=True)
        policy.add_argument("--model", help="id or name of a trained model, or council:NAME")
        policy.add_argument("--baseline", help=" | ".join(BASELINES))
        parser.add_argument("--account", required=True, help="id or name")
        parser.add_argument("--pair", required=True, help="as the venue spells it, BTC/USD")
        parser.add_argument("--interval", help="of the bars; default: the model's, else 1m")
        parser.add_argument("--user", help="owner of the account, where several people have one of that name")
        parser.add_argument("--name", default="", help="of the session")
        parser.add_argument("--risk", help="id or name of a risk profile")
        parser.add_argument("--capital", help="quote currency; default: what is free in the account")
        parser.add_argument("--duration", help="seconds, or 90m, 24h, 7d; default: open-ended")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="sample, seed, confidence; style=limit, deadline_s, … (docs/execution.md)",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        account = account_named(options["account"], user=options["user"])
        owner = account.owner
        policy = policy_named(owner, options["model"] or f"baseline:{options['baseline']}")
        session = services.start_session(
            name=options["name"],
            **policy,
            account=account,
            pair=options["pair"],
            interval=options["interval"] or interval_name(learned_ms(policy) or MS["1m"]),
            risk=profile_named(options["risk"], owner) if options["risk"] else None,
            settings=settings_of(options["set"]),
            duration_s=seconds_of(options["duration"]),
            capital=amount_of(options["capital"]),
            by=owner,
        )
        self.say(f"session {session.pk} ({session}) is {session.status}")
        return {"id": session.pk, "name": session.name, "status": session.status}


def learned_ms(policy: dict[str, Any]) -> int | None:
    """Return the length of the bars a policy learned on; None where nothing was learned."""
    if policy["council"] is not None:
        return policy["council"].interval_ms
    return policy["model"].series.interval_ms if policy["model"] is not None else None


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """Return KEY=VALUE texts as a dict; values are JSON where they can be.

    :raises BadInput: for a text without `=`.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, is_given, text = pair.partition("=")
        if not is_given or not key:
            raise BadInput(f"--set takes KEY=VALUE, not {pair!r}", field="set")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def seconds_of(text: str | None) -> int | None:
    """Return the seconds of `3600`, `90m`, `24h` or `7d`.

    :raises BadInput: for anything else.
    """
    if text is None:
        return None
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(text[-1:])
    number = text if unit is None else text[:-1]
    if not number.isascii() or not number.isdigit():
        raise BadInput(f"{text!r} is no duration: give seconds, or 90m, 24h, 7d", field="duration")
    return int(number[:12]) * (unit or 1)


def amount_of(text: str | None) -> Decimal | None:
    """:raises BadInput: when the text is no number."""
    if text is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise BadInput(f"{text!r} is no amount of money", field="capital") from None
