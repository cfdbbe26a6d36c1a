"""`manage.py watchdog`: the loop, the signals, the real clock."""

import signal
from typing import Any

from django.core.management.base import CommandParser

from market.commands import OUTDATED, ProductCommand, is_migrated
from market.errors import BadInput
from trading.watch.watchdog import Watchdog


class Command(ProductCommand):
    help = "Watch the workers until Ctrl-C: tell people, through their channels, when nobody trades for them."

    def arguments(self, parser: CommandParser) -> None:
        """None: the settings WATCHDOG_… say how long it waits and whether it sells."""

    def run(self, **options: Any) -> None:
        if not is_migrated():
            raise BadInput(OUTDATED)
        ends: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: ends.append(number))
        self.say("watchdog ready")
        Watchdog(must_end=lambda: bool(ends)).run()
