"""`manage.py bench NAME`: run one of the benchmarks and print its figures."""

import platform
from collections.abc import Callable
from importlib import import_module, metadata
from inspect import signature
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from market.commands import ProductCommand
from market.errors import BadInput

BENCHMARKS = sorted(
    path.stem.removeprefix("bench_") for path in (settings.BASE_DIR / "benchmarks").glob("bench_*.py")
)
MOST = 100_000_000
LIBRARIES = ("numpy", "numba", "torch", "stable-baselines3", "pyarrow", "TA-Lib")


class Command(ProductCommand):
    help = (
        "Measure one part of the product on this machine (medians; benchmarks/RESULTS.md keeps the record)."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help=" | ".join(BENCHMARKS))
        parser.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="a benchmark's own option"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        if options["name"] not in BENCHMARKS:
            raise BadInput(
                f"there is no benchmark {options['name']!r}; choose one of {', '.join(BENCHMARKS)}"
            )
        benchmark = import_module(f"benchmarks.bench_{options['name']}").run
        figures = benchmark(**options_of(options["set"], benchmark))
        for name, value in figures.items():
            self.say(f"{name:32} {value:,.3f}" if isinstance(value, float) else f"{name:32} {value}")
        return {"bench": options["name"], **figures, "machine": machine()}


def options_of(pairs: list[str], benchmark: Callable[..., Any]) -> dict[str, int | float | str]:
    """Return KEY=VALUE texts as a benchmark's arguments: text where it takes text, else numbers.

    :raises BadInput: for an option it does not have, or a value that is no number above 0.
    """
    known = signature(benchmark).parameters.values()
    accepted = {one.name: one.annotation for one in known if one.kind != one.VAR_KEYWORD}
    chosen: dict[str, int | float | str] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in accepted:
            raise BadInput(f"there is no option {name!r}; there are {', '.join(accepted) or 'none'}", "set")
        chosen[name] = text if accepted[name] is str else _number(name, text)
    return chosen


def _number(name: str, text: str) -> int | float:
    try:
        value = int(text) if text.isascii() and text.isdigit() else float(text)
    except ValueError:
        value = 0
    if not 0 < value <= MOST:
        raise BadInput(f"{name} must be a number above 0 and at most {MOST:,}, not {text!r}", "set")
    return value


def machine() -> dict[str, str]:
    """Return what a figure depends on: processor, Python, library versions."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")),
        platform.processor(),
    )
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return {"cpu": model, "python": platform.python_version(), **versions}


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
