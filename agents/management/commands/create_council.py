"""`manage.py create_council NAME --member MODEL …`: have models and fixed rules vote."""

from typing import Any

from django.core.management.base import CommandParser

from agents import selectors, services
from agents.commands import acting_user
from agents.policies.council import COMBINES, METHODS
from agents.services import Seat
from agents.spec import key_values
from market.commands import ProductCommand
from market.errors import BadInput


class Command(ProductCommand):
    help = (
        "Make a council: trained models and fixed rules that vote. Where a MODEL is asked for, it is called "
        "council:NAME."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of the council, without a colon")
        parser.add_argument(
            "--member",
            action="append",
            nargs="+",
            required=True,
            metavar=("MODEL", "KEY=VALUE"),
            help="repeatable: a model's id or name, or baseline:NAME, then weight=2 and a rule's parameters",
        )
        parser.add_argument("--method", default="majority", help=" | ".join(METHODS))
        parser.add_argument("--combine", default="votes", help=" | ".join(COMBINES))
        parser.add_argument(
            "--quorum", type=int, help="members that must be able to vote; default: over half"
        )
        parser.add_argument("--user", help="who owns it; needed when there are several users")

    def run(self, **options: Any) -> dict[str, Any]:
        owner = acting_user(options["user"])
        council = services.create_council(
            owner=owner,
            name=options["name"],
            members=[seat_of(owner, words) for words in options["member"]],
            method=options["method"],
            combine=options["combine"],
            quorum=options["quorum"],
            by=owner,
        )
        members = {row.name: row.weight for row in council.members.all()}
        for name, weight in members.items():
            self.say(f"{name:40} weight {weight:g}")
        self.say(f"{council} decides by {council.method} with a quorum of {council.quorum}")
        return {"id": council.pk, "name": council.name, "hash": council.hash, "members": members}


def seat_of(owner: Any, words: list[str]) -> Seat:
    """Return the member that a policy's name and its KEY=VALUE texts ask for.

    :raises BadInput: when there is no such policy, or the weight is no number
    """
    policy = selectors.policy_named(owner, words[0])
    if policy["council"] is not None:
        raise BadInput("a council cannot be a member of a council", "members")
    params = key_values(words[1:])
    weight = params.pop("weight", None)
    if weight is not None and (not isinstance(weight, int | float) or isinstance(weight, bool)):
        raise BadInput(f"a weight must be a number, not {weight!r}", "members")
    return Seat(model=policy["model"], baseline=policy["baseline"], params=params, weight=weight)
