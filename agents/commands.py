"""What this app's commands have in common."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser

from market.commands import user_named
from market.errors import BadInput


def add_series_arguments(parser: CommandParser) -> None:
    """Add the arguments that name candles and a user."""
    parser.add_argument("--series", type=int, help="id of a stored series, instead of pair and interval")
    parser.add_argument("--source", help="where the candles came from, when several series fit")
    parser.add_argument("--pair", help="BTC/USD")
    parser.add_argument("--interval", help="1m, 5m, 1h …")
    parser.add_argument("--from", help="ISO date or epoch ms, UTC; default: the first candle")
    parser.add_argument("--to", help="ISO date or epoch ms, UTC, excluded; default: after the last candle")
    parser.add_argument("--user", help="who owns the result; needed when there are several users")


def acting_user(name: str | None) -> Any:
    """Return the user a command acts for: the named one, or the only one.

    :raises BadInput: when nobody has that name, or none is given and there is not exactly one user
    """
    if name is not None:
        return user_named(name)
    users = list(get_user_model().objects.filter(is_active=True)[:2])
    if len(users) == 1:
        return users[0]
    if not users:
        raise BadInput("there is no user yet: make one with `manage.py createsuperuser`", "user")
    raise BadInput("there are several users: name one with --user", "user")
