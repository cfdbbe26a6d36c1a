"""`manage.py bench NAME`: run one of the benchmarks and print its figures."""

import platform
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from market.commands import ProductCommand
from market.errors import BadInput

BENCHMARKS = sorted(path.stem.removeprefix("bench_") for path in Path("benchmarks").glob("bench_*.py"))
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
        chosen = dict(pair.partition("=")[::2] for pair in options["set"])
        figures = import_module(f"benchmarks.bench_{options['name']}").run(**chosen)
        for name, value in figures.items():
            self.say(f"{name:32} {value:,.3f}" if isinstance(value, float) else f"{name:32} {value}")
        return {"bench": options["name"], **figures, "machine": machine()}


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
