"""`manage.py add_channel`: a way to reach a person, its secrets taken from the environment."""

import os
from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand, user_named
from market.errors import BadInput
from trading.models import ChannelKind
from trading.services.channels import create_channel


class Command(ProductCommand):
    help = "Add an alert channel, with a rule that sends it everything from a warning on."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what to call it")
        parser.add_argument("--kind", required=True, help=", ".join(ChannelKind.values))
        parser.add_argument("--user", required=True, help="whom it reaches")
        parser.add_argument(
            "--address", default="", help="e-mail addresses, a Telegram chat, a webhook's URL"
        )
        parser.add_argument("--address-env", metavar="VAR", help="variable that holds the address, if secret")
        parser.add_argument(
            "--secret-env", metavar="VAR", help="variable with the bot's token or the webhook's signing key"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        channel = create_channel(
            owner=user_named(options["user"]),
            name=options["name"],
            kind=options["kind"],
            address=_from_environment(options["address_env"]) or options["address"],
            secret=_from_environment(options["secret_env"]),
        )
        self.say(f"channel {channel.pk} {channel.name!r} added ({channel.shown})")
        return {"id": channel.pk, "name": channel.name, "kind": channel.kind, "address": channel.shown}


def _from_environment(variable: str | None) -> str:
    if variable is None:
        return ""
    if not os.environ.get(variable):
        raise BadInput(f"the environment variable {variable} is not set: put the value there", field="secret")
    return os.environ[variable]
