"""`manage.py import_candles FILE`: a candle file of any known format into the archive."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from market import services
from market.commands import ProductCommand, user_named
from market.sources.files import FORMATS

SHOWN = 10


class Command(ProductCommand):
    help = (
        "Import a candle file. Its format, pair and interval are recognised where the file says them; "
        "rows that are no candles are refused, with line and reason. All the others are stored, or none."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="CSV, JSON, feather or Parquet, also inside .zip or .gz")
        parser.add_argument("--format", default="auto", help=" | ".join(FORMATS))
        parser.add_argument("--pair", help="like BTC/USD; needed only when the file does not say it")
        parser.add_argument("--interval", help="like 1m; needed only when the file does not say it")
        parser.add_argument("--source", help="what to file it under; default: the venue or the file's name")
        parser.add_argument(
            "--replace", action="store_true", help="let bars win that differ from stored ones"
        )
        parser.add_argument("--user", help="whose it becomes; default: shared with every user")

    def run(self, **options: Any) -> dict[str, Any]:
        report = services.import_file(
            path=Path(options["file"]),
            owner=user_named(options["user"]),
            **{name: options[name] for name in ("format", "pair", "interval", "source", "replace")},
        )
        for note in report.notes:
            self.say(note)
        for line, reason in report.rejects[:SHOWN]:
            self.say(f"line {line}: {reason}")
        if report.rows_rejected > SHOWN:
            self.say(f"... {report.rows_rejected - SHOWN} more refused")
        self.say(
            f"{report.rows_read} rows read, {report.rows_new} new, {report.rows_duplicate} duplicate, "
            f"{report.rows_rejected} refused in {report.seconds:.2f} s "
            f"-> series {report.series_id} ({report.series})"
        )
        return services.summary(report)
