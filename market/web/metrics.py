"""Metrics of a run, a model or a backtest as rows of a table: label, text, colour, definition."""

from typing import Any

from market.web import numbers
from market.web.definitions import definition

SIGNED_SHARES = {"buy_and_hold_return", "total_return", "annual_return", "benchmark_return", "excess_return"}
SHARES = {
    "volatility",
    "max_drawdown",
    "var_95",
    "cvar_95",
    "exposure",
    "win_rate",
    "drawdown",
    "benchmark_max_drawdown",
}
NAMES = {"benchmark_return": "Buy & hold return", "benchmark_sharpe": "Buy & hold Sharpe",
         "benchmark_max_drawdown": "Buy & hold drawdown"}  # fmt: skip
COUNTS = {"fills", "closed_trades", "bars", "max_drawdown_bars"}
LABELS = {"var_95": "VaR 95 %", "cvar_95": "CVaR 95 %", **NAMES}
ORDER = ["total_return", "benchmark_return", "excess_return", "annual_return", "sharpe", "sortino",
         "calmar", "volatility", "max_drawdown", "max_drawdown_days", "var_95", "cvar_95", "win_rate",
         "profit_factor", "fills", "closed_trades", "turnover_per_day", "exposure",
         "fees", "contest_score"]  # fmt: skip


def rows(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """Return the table of all numeric metrics, the known ones first and in a fixed order."""
    names = [name for name in ORDER if name in metrics] + sorted(set(metrics) - set(ORDER))
    return [_row(name, metrics[name]) for name in names if isinstance(metrics[name], int | float | None)]


def label(name: str) -> str:
    """Return a metric's name for people."""
    return LABELS.get(name) or name.replace("_", " ").replace("/", " ").capitalize()


def text(name: str, value: float | None) -> str:
    """Return a metric's value for people, with its unit."""
    if value is None:
        return numbers.EMPTY
    if name in SIGNED_SHARES:
        return numbers.percent(value, sign=True)
    if name in SHARES:
        return numbers.percent(value)
    return f"{value:,.0f}" if name in COUNTS else numbers.grouped(value, 2 if abs(value) >= 0.1 else 5)


def _row(name: str, value: float | None) -> dict[str, str]:
    is_good = value is not None and value > 0
    colour = ("gain" if is_good else "loss") if name in SIGNED_SHARES and value else "flat"
    return {"name": name, "label": label(name), "text": text(name, value), "tone": colour,
            "definition": definition(name)}  # fmt: skip
