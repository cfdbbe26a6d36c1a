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
    "clip_fraction",
    "exploration_rate",
    "benchmark_max_drawdown",
}
MONEY = {"fees", "funding", "notional", "final_equity"}
COUNTS = {"fills", "closed_trades", "bars", "max_drawdown_bars", "decisions", "gated", "best_step",
          "checkpoints_compared", "liquidations"}  # fmt: skip
LABELS = {
    "annual_return": "Annualised return",
    "benchmark_return": "Benchmark return",
    "benchmark_sharpe": "Benchmark Sharpe",
    "benchmark_max_drawdown": "Benchmark drawdown",
    "benchmark_score": "Benchmark score",
    "var_95": "VaR 95 %",
    "cvar_95": "CVaR 95 %",
    "max_drawdown_days": "Longest drawdown (days)",
    "max_drawdown_bars": "Longest drawdown (bars)",
    "contest_sharpe": "Contest Sharpe",
    "contest_sortino": "Contest Sortino",
    "contest_calmar": "Contest Calmar",
    "notional": "Traded value",
    "gated": "Held back by the gate",
    "kl": "KL divergence",
}
ORDER = ["reward", "episode_return", "policy_loss", "value_loss", "actor_loss", "critic_loss",
         "action_value_loss", "entropy_weight", "exploration_rate", "entropy", "kl", "clip_fraction",
         "explained_variance", "total_return", "benchmark_return", "final_equity", "annual_return", "sharpe",
         "benchmark_sharpe", "sortino", "calmar", "volatility", "max_drawdown", "benchmark_max_drawdown",
         "max_drawdown_days", "max_drawdown_bars", "var_95", "cvar_95", "win_rate", "profit_factor",
         "decisions", "gated", "fills", "closed_trades", "turnover_per_day", "exposure", "notional", "fees",
         "funding", "liquidations", "contest_score", "contest_sortino", "contest_sharpe", "contest_calmar",
         "score", "last_score", "benchmark_score", "training_score", "score_gap", "excess_return",
         "best_step", "checkpoints_compared", "bars", "elapsed_days"]  # fmt: skip
PEOPLE = {"Sharpe", "Sortino", "Calmar"}
VALIDATION = "valid_"  # a run's figures of its newest checkpoint carry this prefix


def rows(metrics: dict[str, Any], currency: str = "") -> list[dict[str, str]]:
    """Return the table of all numeric metrics, the known ones first and in a fixed order.

    :param currency: unit of amounts of money.
    """
    known = [*ORDER, *(VALIDATION + name for name in ORDER)]
    names = [name for name in known if name in metrics] + sorted(set(metrics) - set(known))
    return [_row(name, metrics[name], currency) for name in names if _is_numeric(metrics[name])]


def label(name: str) -> str:
    """Return a metric's name for people."""
    if name.startswith(VALIDATION):
        inner = label(name.removeprefix(VALIDATION))
        is_name = inner.split()[0] in PEOPLE or inner[1].isupper()
        return f"Validation {inner if is_name else inner[0].lower() + inner[1:]}"
    return LABELS.get(name) or name.replace("_", " ").replace("/", " ").capitalize()


def explained(name: str) -> str:
    """Return what a metric means; empty when nobody has written it down."""
    if name.startswith(VALIDATION):
        inner = definition(name.removeprefix(VALIDATION))
        return f"Newest checkpoint, on later candles. {inner}" if inner else ""
    return definition(name)


def text(name: str, value: float | None, currency: str = "") -> str:
    """Return a metric's value for people, with its unit."""
    name = name.removeprefix(VALIDATION)
    if value is None:
        return numbers.EMPTY
    if _is_gain(name):
        return numbers.percent(value, sign=True)
    if name in SHARES or name.startswith("weight_"):
        return numbers.percent(value)
    if name in COUNTS:
        return f"{value:,.0f}"
    if name in MONEY:
        return f"{numbers.grouped(value)} {currency}".rstrip()
    return numbers.grouped(value, 2 if not value or abs(value) >= 0.1 else 5)


def _is_gain(name: str) -> bool:
    return name in SIGNED_SHARES or name.startswith("contribution_")


def _is_numeric(value: Any) -> bool:
    return isinstance(value, int | float | None) and not isinstance(value, bool)


def _row(name: str, value: float | None, currency: str) -> dict[str, str]:
    is_good = value is not None and value > 0
    colour = ("gain" if is_good else "loss") if _is_gain(name.removeprefix(VALIDATION)) and value else "flat"
    return {"name": name, "label": label(name), "text": text(name, value, currency), "tone": colour,
            "definition": explained(name)}  # fmt: skip
