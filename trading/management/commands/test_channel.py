"""`manage.py test_channel`: does a message arrive?"""

from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand
from market.errors import BadInput
from trading.lookup import channel_named
from trading.models import DeliveryStatus
from trading.services.channels import check_channel


class Command(ProductCommand):
    help = "Send a test message through an alert channel now. Exit status 2 when it does not arrive."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("channel", help="id or name")
        parser.add_argument("--user", help="owner, where several people have a channel of that name")

    def run(self, **options: Any) -> dict[str, Any]:
        delivery = check_channel(channel=channel_named(options["channel"], options["user"]))
        if delivery.status != DeliveryStatus.SENT:
            raise BadInput(f"the test did not arrive: {delivery.answer}", field="channel")
        self.say(f"sent: {delivery.answer}")
        return {"id": delivery.pk, "status": delivery.status, "answer": delivery.answer}
