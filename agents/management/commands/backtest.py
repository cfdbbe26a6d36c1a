"""`manage.py backtest MODEL|baseline:NAME|council:NAME`: test a policy on stored candles, here and now."""

from typing import Any

from django.core.management.base import CommandParser

from agents import selectors, services
from agents.commands import acting_user, add_series_arguments
from agents.policies import BASELINES
from agents.services.series import find_series
from agents.spec import key_values
from agents.times import epoch_ms
from market.commands import ProductCommand

SHOWN = ("total_return", "benchmark_return", "annual_return", "sharpe", "sortino", "calmar", "max_drawdown",
         "fills", "fees", "win_rate", "profit_factor", "exposure", "turnover_per_day",
         "contest_score")  # fmt: skip


class Command(ProductCommand):
    help = "Test a model, a fixed rule or a council on stored candles; the result is also on a page."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "policy", help=f"a model's id or name, council:NAME, or baseline:{'|'.join(BASELINES)}"
        )
        add_series_arguments(parser)
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="fee_rate, confidence, fast …"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        owner = acting_user(options["user"])
        name = options["policy"]
        policy = selectors.policy_named(owner, name)
        model = policy["model"]
        series = model.series if model and not (options["series"] or options["pair"]) else None
        if series is None:
            series = find_series(owner, **{k: options[k] for k in ("series", "source", "pair", "interval")})
        done = services.backtest_now(
            owner=owner,
            **policy,
            series=series,
            from_ms=epoch_ms(options["from"], "from"),
            to_ms=epoch_ms(options["to"], "to"),
            settings=key_values(options["set"]),
        )
        for key in SHOWN:
            value = done.metrics[key]
            self.say(f"{key:20} {'-' if value is None else f'{value:,.4f}'}")
        for sentence in done.assumptions:
            self.say(sentence)
        return {
            "id": done.pk,
            "policy": name,
            "series": series.pk,
            "from_ms": done.from_ms,
            "to_ms": done.to_ms,
            "metrics": done.metrics,
            "assumptions": done.assumptions,
            "seconds": done.seconds,
        }
