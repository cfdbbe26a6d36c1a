"""The rules of the house that a machine can check."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ["market", "agents", "trading"]  # each may import itself and those to its left


def imported_roots(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            roots.add((node.module or "").split(".")[0])
    return roots


def importers(folder: str, names: set[str]) -> list[str]:
    files = (ROOT / folder).rglob("*.py")
    return sorted(str(path.relative_to(ROOT)) for path in files if imported_roots(path) & names)


@pytest.mark.parametrize("app", LAYERS)
def test_apps_import_only_downwards(app):
    assert importers(app, {"tradebot", *LAYERS[LAYERS.index(app) + 1 :]}) == []


def test_the_kernel_knows_no_django():
    assert importers("market/kernel", {"django", "logging", "time", "requests"}) == []


def test_only_agents_rl_imports_the_learning_libraries():
    heavy = {"torch", "stable_baselines3", "sb3_contrib", "ray", "xgboost"}
    found = [path for app in (*LAYERS, "tradebot") for path in importers(app, heavy)]
    assert [path for path in found if not path.startswith("agents/rl/")] == []


def test_four_files_import_numba():
    found = [path for app in (*LAYERS, "tradebot") for path in importers(app, {"numba", "llvmlite"})]
    # What calls TA-Lib's C functions, and what sums a network's layers in vectors, lies in one file each, so
    # that a change of it is compiled anew.
    assert found == [
        "market/features/compiled.py", "market/kernel/packing.py", "agents/policies/forward.py",
        "agents/rl/fast/kernels.py",
    ]  # fmt: skip


def test_nothing_imports_the_sandbox():
    importing = [
        str(path.relative_to(ROOT))
        for app in (*LAYERS, "tradebot")
        for path in (ROOT / app).rglob("*.py")
        if "market.sandbox" in path.read_text() and "sandbox" not in str(path.relative_to(ROOT))
    ]
    assert importing == []


def test_the_top_level_holds_only_the_agreed_names():
    code = {"tradebot", "market", "agents", "trading", "templates", "static", "tests", "docs", "benchmarks"}
    agreed = code | {
        "manage.py",
        "README.md",
        "requirements.txt",
        "requirements",
        "Makefile",
        "pyproject.toml",
    }
    assert {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - {"var"} <= agreed
