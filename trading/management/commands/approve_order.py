"""`manage.py approve_order`: answer an order that waits for a person."""

from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand
from trading import services
from trading.lookup import order_for


class Command(ProductCommand):
    help = "Approve an order that waits for a person, or reject it with --reject."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="id of the order, as the Risk page and the API show it")
        parser.add_argument("--reject", action="store_true", help="drop it instead")
        parser.add_argument("--reason", default="", help="why it is rejected; kept with the order")
        parser.add_argument("--user", help="who answers; default: the session's owner")

    def run(self, **options: Any) -> dict[str, Any]:
        order, by = order_for(options["order"], options["user"])
        if options["reject"]:
            services.reject_order(order=order, reason=options["reason"], by=by)
        else:
            services.approve_order(order=order, by=by)
        self.say(f"order {order.pk} is {order.status}")
        return {"id": order.pk, "status": order.status}
