"""`manage.py review_council COUNCIL`: what each member adds, and how far they disagree."""

from typing import Any

from django.core.management.base import CommandParser

from agents import selectors, services
from agents.commands import acting_user, add_series_arguments
from agents.services.series import find_series
from agents.spec import key_values
from agents.times import epoch_ms
from market.commands import ProductCommand


class Command(ProductCommand):
    help = (
        "Backtest a council with and without each of its members on stored candles: what each adds in return "
        "and Sharpe, and how far they disagree. The result is also on the council's page."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("council", help="id or name")
        add_series_arguments(parser)
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="as of a backtest: fee_rate …"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        owner = acting_user(options["user"])
        council = selectors.council_named(owner, options["council"])
        done = services.review_now(
            owner=owner,
            council=council,
            series=find_series(owner, **{k: options[k] for k in ("series", "source", "pair", "interval")}),
            from_ms=epoch_ms(options["from"], "from"),
            to_ms=epoch_ms(options["to"], "to"),
            settings=key_values(options["set"]),
        )
        found = done.result
        self.say(f"{'':30} {'weight':>8} {'adds return':>12} {'adds Sharpe':>12} {'left out':>9}")
        for row in found["members"]:
            adds = (_figure(row[key]) for key in ("adds_return", "adds_sharpe"))
            told = " ".join(f"{text:>12}" for text in adds)
            self.say(f"{row['name']:30} {row['weight']:>8g} {told} {row['left_out']:>9}")
        split, bits = found["disagreement"]["split"], found["disagreement"]["entropy"]
        self.say(f"not unanimous at {_figure(split)} of the decisions, mean entropy {_figure(bits)} bits")
        for sentence in done.assumptions:
            self.say(sentence)
        own = {"id": done.pk, "council": council.pk, "series": done.series_id, "seconds": done.seconds}
        span = {"from_ms": done.from_ms, "to_ms": done.to_ms, "assumptions": done.assumptions}
        return {**own, **span, **found}


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"
