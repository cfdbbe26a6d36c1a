"""`manage.py end_order`: end an order that nobody but a person can."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand
from market.errors import BadInput
from trading import services
from trading.lookup import order_for


class Command(ProductCommand):
    help = "End an order that the venue shows no more and whose fate the wallet does not tell, then compare."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="id of the order, as the Risk page and the API show it")
        parser.add_argument("--reason", required=True, help="what you know of it; kept with the order")
        parser.add_argument("--filled", help="base units that it has traded and that are not booked yet")
        parser.add_argument("--price", help="the average they have traded at")
        parser.add_argument("--user", help="who ends it; default: the session's owner")

    def run(self, **options: Any) -> dict[str, Any]:
        order, by = order_for(options["order"], options["user"])
        figures = {name: _number(options[name], name) for name in ("filled", "price")}
        ended = services.end_order(order=order, reason=options["reason"], by=by, **figures)
        self.say(f"order {order.pk} is {order.status}. {ended.sentence}")
        is_equal = None if ended.compared is None else ended.compared.equal
        return {"id": order.pk, "status": order.status, "books_equal": is_equal, "books": ended.sentence}


def _number(text: str | None, name: str) -> Decimal | None:
    try:
        found = None if text is None else Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if found is not None and not found.is_finite():
        raise BadInput(f"--{name} must be a number, not {text!r}", field=name)
    return found
