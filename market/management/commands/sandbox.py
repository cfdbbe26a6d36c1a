"""`manage.py sandbox`: a local Roostoo on its own port."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from market.candles import Candles
from market.commands import ProductCommand
from market.errors import BadInput


class Command(ProductCommand):
    help = "Run a local exchange that speaks Roostoo's API (and Binance's klines) until Ctrl-C."
    requires_system_checks = []  # it stands in for somebody else's server

    def arguments(self, parser: ArgumentParser) -> None:
        from market.sandbox.options import add_arguments

        add_arguments(parser, Path(settings.VAR_DIR) / "sandbox")

    def run(self, **options: Any) -> None:
        from market.sandbox.options import options_of
        from market.sandbox.run import run

        run(options_of(options), options["host"], options["port"], say=self.say, series=archived)


def archived(series_id: int) -> tuple[str, Candles]:
    """Return (pair, candles) of an archive series; the venue calls every dollar USD.

    :raises BadInput: when there is none, or it is empty.
    """
    from market import archive
    from market.models import Series

    series = Series.objects.filter(pk=series_id).first()
    candles = archive.load(series) if series is not None else None
    if series is None or candles is None or len(candles) < 2:
        raise BadInput(f"there is no series {series_id} with candles in the archive", "feed")
    return f"{series.pair.partition('/')[0]}/USD", candles
