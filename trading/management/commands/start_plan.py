"""`manage.py start_plan`: keep an account's pairs at target weights."""

from typing import Any

from django.core.management.base import CommandParser

from agents.selectors import model_named
from market.commands import ProductCommand
from market.errors import BadInput
from trading import services
from trading.accounts import account_named
from trading.lookup import profile_named
from trading.management.commands.start_session import amount_of


class Command(ProductCommand):
    help = (
        "Start a portfolio plan: one session per pair, traded back to its weight outside the band. The "
        "weights are given, or a model's."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of the plan")
        parser.add_argument("--account", required=True, help="id or name")
        parser.add_argument("--weight", action="append", metavar="PAIR=SHARE", help="repeatable; BTC/USD=0.5")
        parser.add_argument("--model", help="id or name of a model trained on a portfolio; gives the weights")
        parser.add_argument("--pairs", help="of the model, as the venue spells them: BTC/USD,ETH/USD")
        parser.add_argument("--capital", required=True, help="quote currency, for all pairs together")
        parser.add_argument("--interval", help="of the bars; default: 1h, or the model's")
        parser.add_argument("--every", type=int, help="bars between two looks; default: 1")
        parser.add_argument("--band", type=float, help="how far a share may stray; default: 0.05")
        parser.add_argument("--risk", help="id or name of a risk profile")
        parser.add_argument("--user", help="owner of the account, where several people have one of that name")

    def run(self, **options: Any) -> dict[str, Any]:
        account = account_named(options["account"], user=options["user"])
        owner = account.owner
        capital = amount_of(options["capital"])
        if capital is None:
            raise BadInput("say how much money the plan may use", field="capital")
        plan = services.start_plan(
            name=options["name"],
            account=account,
            weights=weights_of(options["weight"]) if options["weight"] else None,
            model=model_named(owner, options["model"]) if options["model"] else None,
            pairs=options["pairs"].split(",") if options["pairs"] else None,
            capital=capital,
            interval=options["interval"],
            every=options["every"],
            band=options["band"],
            risk=profile_named(options["risk"], owner) if options["risk"] else None,
            by=owner,
        )
        self.say(f"plan {plan.pk} ({plan}) is started with {len(plan.weights)} sessions")
        return {"id": plan.pk, "name": plan.name, "sessions": [row.pk for row in plan.sessions.all()]}


def weights_of(texts: list[str]) -> dict[str, float]:
    """Return PAIR=SHARE texts as a dict. :raises BadInput: for a text that is not one"""
    weights: dict[str, float] = {}
    for text in texts:
        pair, _, share = text.partition("=")
        try:
            weights[pair] = float(share)
        except ValueError:
            raise BadInput(f"--weight takes PAIR=SHARE, like BTC/USD=0.5, not {text!r}", "weight") from None
    return weights
