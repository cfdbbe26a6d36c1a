"""`manage.py approve_order`: answer an order that waits for a person."""

from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand, user_named
from market.errors import BadInput
from trading import services
from trading.models import Order


class Command(ProductCommand):
    help = "Approve an order that waits for a person, or reject it with --reject."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="id of the order, as the Risk page and the API show it")
        parser.add_argument("--reject", action="store_true", help="drop it instead")
        parser.add_argument("--reason", default="", help="why it is rejected; kept with the order")
        parser.add_argument("--user", help="who answers; default: the session's owner")

    def run(self, **options: Any) -> dict[str, Any]:
        pk = options["order"]
        rows = Order.objects.select_related("session__owner")
        order = rows.filter(pk=int(pk)).first() if pk.isascii() and pk.isdigit() and len(pk) < 19 else None
        if order is None:
            raise BadInput(f"there is no order {pk!r}", field="order")
        by = user_named(options["user"]) or order.session.owner
        if not (by.is_superuser or by == order.session.owner):
            raise BadInput(f"there is no order {pk!r} of {by}", field="order")
        if options["reject"]:
            services.reject_order(order=order, reason=options["reason"], by=by)
        else:
            services.approve_order(order=order, by=by)
        self.say(f"order {order.pk} is {order.status}")
        return {"id": order.pk, "status": order.status}
