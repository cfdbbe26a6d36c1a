"""`manage.py rank_pairs`: what is worth trading, from the archive."""

from typing import Any

from django.core.management.base import CommandParser

from market.candles import MS
from market.commands import ProductCommand, user_named
from market.errors import BadInput
from market.models import Series
from market.ranking import BY, rank_archive


class Command(ProductCommand):
    help = (
        "Rank the archive's pairs by volatility, liquidity or both over their last 30 days. Stablecoins "
        "and thin pairs are left out, each with its reason."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--by", default="score", help=" | ".join(BY))
        parser.add_argument("--top", type=int, help="show only the best N")
        parser.add_argument("--interval", help="use only series of this interval")
        parser.add_argument(
            "--user", help="also that user's own series; default: shared ones and everybody's"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        user, interval = user_named(options["user"]), options["interval"]
        if interval and interval not in MS:
            raise BadInput(f"{interval!r} is not an interval; use one of {', '.join(MS)}")
        series = Series.objects.visible_to(user) if user else Series.objects.all()
        if interval:
            series = series.filter(interval_ms=MS[interval])
        ranking = rank_archive(series, by=options["by"], top=options["top"])
        if not ranking.ranked and not ranking.excluded:
            raise BadInput("the archive holds no candles yet; import, download or synthesize some first")
        self.say(f"{'#':>3} {'pair':14} {'volatility':>10} {'dollars/day':>16} {'score':>6}  from")
        for row in ranking.ranked:
            self.say(
                f"{row['rank']:>3} {row['pair']:14} {row['volatility']:>10.1%} {row['liquidity']:>16,.0f} "
                f"{row['score']:>6.2f}  {row['source']} {row['interval']}"
            )
        for left_out in ranking.excluded:
            self.say(f"  - {left_out['pair']:14} {left_out['reason']}")
        return ranking.as_dict()
