"""`manage.py stop_plan`: stop the sessions of a portfolio plan."""

from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand, user_named
from market.errors import BadInput
from trading import services
from trading.models import PortfolioPlan


class Command(ProductCommand):
    help = "Stop a portfolio plan with its sessions; what they hold stays unless --flatten sells it first."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plan", help="id of the plan")
        parser.add_argument("--flatten", action="store_true", help="sell what the sessions hold first")
        parser.add_argument("--user", help="whose plan it must be")

    def run(self, **options: Any) -> dict[str, Any]:
        pk, user = options["plan"], user_named(options["user"])
        rows = PortfolioPlan.objects.filter(owner=user) if user else PortfolioPlan.objects.all()
        plan = rows.filter(pk=int(pk)).first() if pk.isascii() and pk.isdigit() and len(pk) < 19 else None
        if plan is None:
            raise BadInput(f"there is no plan {pk!r}", field="plan")
        count = services.stop_plan(plan=plan, flatten=options["flatten"], by=user or plan.owner)
        self.say(f"{count} sessions of plan {plan.pk} ({plan}) stop")
        return {"id": plan.pk, "sessions": count}
