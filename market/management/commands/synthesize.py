"""`manage.py synthesize`: a seeded market that does not exist, as a series like any other."""

from typing import Any

from django.core.management.base import CommandParser

from market import services
from market.candles import MS
from market.commands import ProductCommand, user_named
from market.synthetic import MARKETS


class Command(ProductCommand):
    help = "Make a synthetic series. The same settings give the same candles on every machine."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--market", default="regime", help=" | ".join(MARKETS))
        parser.add_argument("--bars", type=int, required=True, help="how many candles, at most 20,000,000")
        parser.add_argument("--seed", type=int, default=1, help="another seed is another market (default: 1)")
        parser.add_argument("--pair", default="SIM/USD", help="what to call it (default: SIM/USD)")
        parser.add_argument("--interval", default="1m", help=" | ".join(MS))
        parser.add_argument("--name", help="what to file it under; default: market and seed")
        parser.add_argument("--user", help="whose it becomes; default: shared with every user")

    def run(self, **options: Any) -> dict[str, Any]:
        series = services.synthesize(
            name=options["name"] or f"synthetic {options['market']} {options['seed']}",
            owner=user_named(options["user"]),
            **{name: options[name] for name in ("bars", "seed", "pair", "interval", "market")},
        )
        self.say(f"{series.rows} bars -> series {series.pk} ({series})")
        return {"id": series.pk, **series.as_dict()}
