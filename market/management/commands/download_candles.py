"""`manage.py download_candles`: candles from a venue's REST API into the archive."""

import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser

from market import leases, services
from market.candles import MS
from market.commands import ProductCommand, user_named
from market.moments import moment_ms
from market.sources.registry import CCXT, SOURCES

SHOW_S = 2.0


class Command(ProductCommand):
    help = (
        "Download closed candles. The bar that is still open is left out. "
        "It is stored as it comes: the same command again goes on where a broken one stopped."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--source", default="binance", help=" | ".join([*SOURCES, CCXT]))
        parser.add_argument("--pair", required=True, help="like BTC/USD (on Binance: BTCUSDT)")
        parser.add_argument("--interval", default="1m", help=" | ".join(MS))
        parser.add_argument(
            "--from", required=True, dest="since", help="2024-10-01, 2024-10-01T12:00 (UTC) or ms"
        )
        parser.add_argument("--to", dest="until", help="the first instant not wanted; default: now")
        parser.add_argument("--base-url", help="another address that speaks the source's protocol")
        parser.add_argument(
            "--replace", action="store_true", help="let bars win that differ from stored ones"
        )
        parser.add_argument("--user", help="whose it becomes; default: shared with every user")

    def run(self, **options: Any) -> dict[str, Any]:
        now = leases.now_ms()
        report = services.download(
            source=options["source"],
            pair=options["pair"],
            interval=options["interval"],
            from_ms=moment_ms(options["since"], field="from"),
            to_ms=moment_ms(options["until"], field="to") if options["until"] else now,
            base_url=options["base_url"],
            owner=user_named(options["user"]),
            replace=options["replace"],
            now_ms=now,
            tell=self._progress(),
        )
        self.say(
            f"{report.rows_new} new and {report.rows_duplicate} known bars in {report.seconds:.2f} s "
            f"-> series {report.series_id} ({report.series})"
        )
        return services.summary(report)

    def _progress(self) -> Callable[[int, int, int], None]:
        """Return what tells how far the download is, a line every few seconds."""
        began = shown = time.monotonic()

        def tell(done: int, wanted: int, known: int) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown < SHOW_S or done == wanted:
                return
            shown = now
            left_s = (now - began) * (wanted - done) / max(1, done - known)  # known bars took no time
            self.say(
                f"{done:,} of {wanted:,} bars ({done / wanted:.0%}), {now - began:.0f} s, ETA {left_s:.0f} s"
            )

        return tell
