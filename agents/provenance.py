"""Where a result comes from: code, libraries, machine."""

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("market", "agents")  # what shapes a model or a backtest
LIBRARIES = (
    "numpy",
    "numba",
    "torch",
    "stable-baselines3",
    "sb3-contrib",
    "xgboost-cpu",
    "gymnasium",
    "TA-Lib",
)


@cache
def code_version() -> str:
    """Return `COMMIT+HASH`: the git commit, in a checkout, and a hash over the code that shapes results.

    The hash is what counts: it also sees changes that nobody has committed.
    """
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\n".encode())
            digest.update(path.read_bytes())
    return f"{_commit()}+{digest.hexdigest()[:40]}"


def versions() -> dict[str, str]:
    """Return the versions of Python, the processor's kind, and the libraries that numbers depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    return found | {name: metadata.version(name) for name in LIBRARIES}


def here() -> dict[str, Any]:
    """Return code and library versions of this process, as `differences` compares them."""
    return {"code_version": code_version(), "versions": versions()}


def differences(then: Mapping[str, Any]) -> list[str]:
    """Return, as sentences, what is not as it was: of a run card, or of what `here` once returned."""
    now, known = versions(), then.get("versions")
    known = known if isinstance(known, Mapping) else {}
    said = [
        f"{name} is {now[name]} here, it was {str(known[name])[:40]}."
        for name in now
        if name in known and known[name] != now[name]
    ]
    code = then.get("code_version")
    if code is not None and _hash(str(code)) != _hash(code_version()):
        said.append("The code that shapes models has changed since.")
    return said


def _hash(version: str) -> str:
    return version.rpartition("+")[2]


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],  # noqa: S607 whichever git the person uses
            cwd=ROOT, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "release"
    return done.stdout.strip()
