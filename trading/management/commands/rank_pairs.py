"""`manage.py rank_pairs`: what is worth trading, from the archive or from a venue's ticker."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandParser

from market.candles import MS
from market.commands import ProductCommand, user_named
from market.errors import BadInput
from market.models import Series
from market.ranking import BY, Ranking, rank_archive, rank_from_ticker
from trading import accounts
from trading.exchanges.errors import ExchangeError
from trading.exchanges.port import Quote
from trading.exchanges.registry import connect
from trading.models import Account


class Command(ProductCommand):
    help = (
        "Rank pairs by volatility, liquidity or both: the archive's over their last 30 days, or with "
        "--account a venue's over the last day of its ticker. Stablecoins and thin pairs are left out, each "
        "with its reason."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--by", default="score", help=" | ".join(BY))
        parser.add_argument("--top", type=int, help="show only the best N")
        parser.add_argument("--account", help="rank what this account's venue quotes now, by name or id")
        parser.add_argument("--interval", help="of the archive, use only series of this interval")
        parser.add_argument(
            "--user", help="also that user's own series; default: shared ones and everybody's"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        user, interval = user_named(options["user"]), options["interval"]
        if interval and interval not in MS:
            raise BadInput(f"{interval!r} is not an interval; use one of {', '.join(MS)}")
        if options["account"]:
            account = accounts.account_named(options["account"], user=options["user"])
            ranking = ranked_now(account, by=options["by"], top=options["top"])
        else:
            ranking = ranked_past(user, interval, by=options["by"], top=options["top"])
        self.show(ranking)
        return ranking.as_dict()

    def show(self, ranking: Ranking) -> None:
        self.say(f"{'#':>3} {'pair':14} {'volatility':>10} {'dollars/day':>16} {'score':>6}  from")
        for row in ranking.ranked:
            self.say(
                f"{row['rank']:>3} {row['pair']:14} {row['volatility']:>10.1%} {row['liquidity']:>16,.0f} "
                f"{row['score']:>6.2f}  {row.get('source', 'ticker')} {row.get('interval', '24h')}"
            )
        for left_out in ranking.excluded:
            self.say(f"  - {left_out['pair']:14} {left_out['reason']}")


def ranked_past(user: User | None, interval: str | None, *, by: str, top: int | None) -> Ranking:
    """Rank the archive's pairs. :raises BadInput: when it holds none"""
    series = Series.objects.visible_to(user) if user else Series.objects.all()
    if interval:
        series = series.filter(interval_ms=MS[interval])
    ranking = rank_archive(series, by=by, top=top)
    if not ranking.ranked and not ranking.excluded:
        raise BadInput("the archive holds no candles yet; import, download or synthesize some first")
    return ranking


def ranked_now(account: Account, *, by: str, top: int | None) -> Ranking:
    """Rank what the account's venue quotes at this moment. :raises BadInput: when it does not answer"""
    try:
        quotes = connect(account).quotes()
    except ExchangeError as error:
        raise BadInput(accounts.failure(account, error), "account") from error
    return rank_from_ticker({pair: _figures(quote) for pair, quote in quotes.items()}, by=by, top=top)


def _figures(quote: Quote) -> dict[str, float]:
    figures = {"bid": quote.bid, "ask": quote.ask, "last": quote.last}
    day = {"change_24h": quote.change_24h, "quote_volume_24h": quote.volume_quote_24h}
    return {name: float(value) for name, value in (figures | day).items() if value is not None}
