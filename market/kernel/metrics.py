"""What an equity curve is worth. Float arrays only; every ratio is annualised over 365 days and bar-aware.

Bars that are missing count as time that passed: a year has as many returns as the curve had at its own pace.

A figure that cannot be computed (too few bars, no variation, no loss) is None, never NaN or infinity.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

YEAR_MS = 365 * 86_400_000
DAY_MS = 86_400_000

Measured = float | None


def periods_per_year(interval_ms: float) -> float:
    """Return how many bars of `interval_ms` a year of 365 days has; crypto trades around the clock."""
    return YEAR_MS / interval_ms


def pace(at_ms: np.ndarray, interval_ms: float) -> float:
    """Return how many points of a curve a year of 365 days has, as they came: gaps make them fewer.

    :param at_ms: (n,), strictly increasing, each point's own moment, of its bar the open or the close
    :param interval_ms: the pace of points too few to have one
    """
    elapsed_ms = float(at_ms[-1] - at_ms[0]) if len(at_ms) else 0.0
    return periods_per_year(elapsed_ms / (len(at_ms) - 1) if elapsed_ms > 0 else interval_ms)


def returns(equity: np.ndarray) -> np.ndarray:
    """Return simple returns between successive equities, (n,) -> (n - 1,); 0 once nothing is left."""
    equity = np.asarray(equity, dtype=np.float64)
    before, moves = equity[:-1], np.diff(equity)
    return np.divide(moves, before, out=np.zeros_like(moves), where=before > 0)


def without_transfers(equity: np.ndarray, capital: np.ndarray) -> np.ndarray:
    """Return what the first equity would have become had no money come or gone: returns, chained.

    Within a stretch money counts from the beginning when it comes and until the end when it goes.

    :param equity: float64 (n,), marked at successive instants
    :param capital: float64 (n,), money given by each of them, less what was taken
    :return: float64 (n,); `equity` itself where nothing has moved, from 1 on where it began with nothing
    """
    equity, moved = np.asarray(equity, dtype=np.float64), np.diff(np.asarray(capital, dtype=np.float64))
    if not moved.any():
        return equity
    base, gained = equity[:-1] + np.maximum(moved, 0.0), np.diff(equity) - moved
    rets = np.divide(gained, base, out=np.zeros_like(gained), where=base > 0)
    return (equity[0] or 1.0) * np.cumprod(np.concatenate(([1.0], 1.0 + rets)))


def total_return(equity: np.ndarray) -> Measured:
    """Return last equity over first, less one."""
    return float(equity[-1] / equity[0] - 1.0) if len(equity) > 1 and equity[0] > 0 else None


def annual_return(equity: np.ndarray, elapsed_ms: float) -> Measured:
    """Return the compound return per 365 days of a curve that took `elapsed_ms`."""
    if len(equity) < 2 or equity[0] <= 0 or elapsed_ms <= 0:
        return None
    if equity[-1] <= 0:
        return -1.0
    exponent = math.log(equity[-1] / equity[0]) * YEAR_MS / elapsed_ms
    return math.expm1(exponent) if exponent < 700 else None


def volatility(rets: np.ndarray, per_year: float) -> Measured:
    """Return the annualised standard deviation (n - 1) of returns."""
    return float(np.std(rets, ddof=1) * math.sqrt(per_year)) if len(rets) > 1 else None


def sharpe(rets: np.ndarray, per_year: float) -> Measured:
    """Return the annualised Sharpe ratio: mean over standard deviation (n - 1), no risk-free rate."""
    if len(rets) < 2:
        return None
    return _ratio(float(np.mean(rets)), float(np.std(rets, ddof=1)), math.sqrt(per_year))


def sortino(rets: np.ndarray, per_year: float) -> Measured:
    """Return the annualised Sortino ratio: mean over the downside deviation around 0 (divisor n)."""
    if len(rets) < 2:
        return None
    return _ratio(float(np.mean(rets)), _downside(rets), math.sqrt(per_year))


def drawdowns(equity: np.ndarray) -> np.ndarray:
    """Return equity over its running peak, less one: (n,) -> (n,), 0 or negative."""
    equity = np.asarray(equity, dtype=np.float64)
    peaks = np.maximum.accumulate(equity)
    return np.divide(equity - peaks, peaks, out=np.zeros_like(equity), where=peaks > 0)


def max_drawdown(equity: np.ndarray) -> float:
    """Return the deepest drawdown as a negative fraction; 0 for a curve that never falls."""
    return float(np.min(drawdowns(equity))) if len(equity) else 0.0


def longest_drawdown(equity: np.ndarray) -> int:
    """Return the longest time below a former peak, in bars, still running at the end included."""
    peak, last = _below(equity)
    return int(np.max(last - peak)) if len(peak) else 0


def longest_drawdown_ms(equity: np.ndarray, open_ms: np.ndarray) -> int:
    """Return the longest time from a peak's bar to the last one below it, in ms, gaps included."""
    peak, last = _below(equity)
    return int(np.max(open_ms[last] - open_ms[peak])) if len(peak) else 0


def _below(equity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, of every stretch below a former peak, the row of that peak and the stretch's last row."""
    under = np.concatenate(([False], drawdowns(equity) < 0, [False]))
    edges = np.flatnonzero(np.diff(under.astype(np.int8)))
    return edges[::2] - 1, edges[1::2] - 1


def calmar(equity: np.ndarray, elapsed_ms: float) -> Measured:
    """Return annual return over the depth of the maximum drawdown."""
    yearly = annual_return(equity, elapsed_ms)
    return None if yearly is None else _ratio(yearly, -max_drawdown(equity), 1.0)


def value_at_risk(rets: np.ndarray, level: float = 0.05) -> Measured:
    """Return the `level` quantile of bar returns (historical, interpolated), negative for a loss."""
    return float(np.quantile(rets, level)) if len(rets) else None


def conditional_value_at_risk(rets: np.ndarray, level: float = 0.05) -> Measured:
    """Return the mean of the returns at or below the value at risk."""
    if not len(rets):
        return None
    return float(np.mean(rets[rets <= np.quantile(rets, level)]))


def daily_equity(equity: np.ndarray, close_ms: np.ndarray) -> np.ndarray:
    """Return the first equity and then the last one of every UTC day: what a daily scorer would have seen.

    :param close_ms: int64 (n,), end of the bar each equity was marked at; 00:00 belongs to the day it ends
    """
    day = (np.asarray(close_ms, dtype=np.int64) - 1) // DAY_MS
    last = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    return np.concatenate((equity[:1], equity[last[last > 0]]))


def contest(equity: np.ndarray, close_ms: np.ndarray) -> dict[str, Measured]:
    """Return the contest score 0.4 Sortino + 0.3 Sharpe + 0.3 Calmar over daily UTC closes, un-annualised.

    The venue never published its sampling; this follows the one public scorer: mean daily return over
    downside deviation around 0, over standard deviation (divisor n both), and over the maximum drawdown.
    """
    daily = daily_equity(np.asarray(equity, dtype=np.float64), close_ms)
    rets = returns(daily)
    if len(rets) < 2:
        return dict.fromkeys(("contest_score", "contest_sortino", "contest_sharpe", "contest_calmar"))
    mean = float(np.mean(rets))
    parts = (
        _ratio(mean, _downside(rets), 1.0),
        _ratio(mean, float(np.std(rets)), 1.0),
        _ratio(mean, -max_drawdown(daily), 1.0),
    )
    known = [weight * part for weight, part in zip((0.4, 0.3, 0.3), parts, strict=True) if part is not None]
    return {
        "contest_score": sum(known) if len(known) == 3 else None,
        "contest_sortino": parts[0],
        "contest_sharpe": parts[1],
        "contest_calmar": parts[2],
    }


def realised(fills: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the profit of every closing fill in quote currency, net of its fee and its share of entry fees.

    :param fills: arrays (m,) `quantity` (signed base units), `price` and `fee` (quote currency), oldest first
    """
    held = entry = entry_fees = 0.0
    profits = []
    rows = zip(fills["quantity"], fills["price"], fills["fee"], strict=True)
    for quantity, price, fee in ((float(q), float(p), float(f)) for q, p, f in rows):
        closing = min(abs(quantity), abs(held)) if quantity * held < 0 else 0.0
        opening = abs(quantity) - closing
        closing_fee = fee * closing / abs(quantity)
        if closing:
            share = entry_fees * closing / abs(held)
            profits.append((price - entry) * math.copysign(closing, held) - closing_fee - share)
            entry_fees -= share
        left = abs(held) - closing
        if left + opening > 0:
            entry = (entry * left + price * opening) / (left + opening)
        entry_fees = entry_fees + fee - closing_fee if left else fee - closing_fee
        held = 0.0 if _is_flat(held + quantity, quantity) else held + quantity
    return np.array(profits)


def win_rate(profits: np.ndarray) -> Measured:
    """Return the share of closing fills that made a profit."""
    return float(np.mean(profits > 0)) if len(profits) else None


def profit_factor(profits: np.ndarray) -> Measured:
    """Return gross profit over gross loss of closing fills; None without a loss."""
    loss = float(-np.sum(profits[profits < 0])) if len(profits) else 0.0
    return float(np.sum(profits[profits > 0])) / loss if loss > 0 else None


def turnover_per_day(notional: float, equity: np.ndarray, elapsed_ms: float) -> Measured:
    """Return traded notional per day as a multiple of mean equity."""
    mean = float(np.mean(equity)) if len(equity) else 0.0
    return notional / mean / (elapsed_ms / DAY_MS) if mean > 0 and elapsed_ms > 0 else None


def summary(
    equity: np.ndarray,
    open_ms: np.ndarray,
    interval_ms: int,
    fills: Mapping[str, np.ndarray] | None = None,
    exposure: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return every figure of one equity curve as plain numbers; what cannot be computed is None.

    :param equity: float64 (n,), equity at each bar's close; the first one is what the account started with
    :param open_ms: int64 (n,), start of each bar, strictly increasing; elapsed time is theirs, with gaps
    :param fills: arrays (m,) `quantity` (signed), `price`, `fee`, and of several pairs `pair`, the place of
        the one traded; None leaves trade figures None
    :param exposure: (n,) share of equity in the market at each close; None leaves `exposure` None
    """
    equity, open_ms = np.asarray(equity, dtype=np.float64), np.asarray(open_ms, dtype=np.int64)
    rets, per_year = returns(equity), pace(open_ms, interval_ms)
    elapsed_ms = float(open_ms[-1] - open_ms[0]) if len(open_ms) else 0.0
    return {
        "bars": len(equity),
        "elapsed_days": elapsed_ms / DAY_MS,
        "total_return": total_return(equity),
        "annual_return": annual_return(equity, elapsed_ms),
        "volatility": volatility(rets, per_year),
        "sharpe": sharpe(rets, per_year),
        "sortino": sortino(rets, per_year),
        "calmar": calmar(equity, elapsed_ms),
        "max_drawdown": max_drawdown(equity),
        "max_drawdown_bars": longest_drawdown(equity),
        "max_drawdown_days": longest_drawdown_ms(equity, open_ms) / DAY_MS,
        "var_95": value_at_risk(rets),
        "cvar_95": conditional_value_at_risk(rets),
        "exposure": None if exposure is None or not len(exposure) else float(np.mean(np.abs(exposure))),
        **_trading(equity, elapsed_ms, fills),
        **contest(equity, open_ms + interval_ms),
    }


def _trading(equity: np.ndarray, elapsed_ms: float, fills: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
    names = ("fills", "closed_trades", "fees", "notional", "turnover_per_day", "win_rate", "profit_factor")
    if fills is None:
        return dict.fromkeys(names)
    profits = _realised_by_pair(fills)
    notional = float(np.sum(np.abs(np.asarray(fills["quantity"]) * np.asarray(fills["price"]))))
    figures = (
        len(fills["quantity"]),
        len(profits),
        float(np.sum(fills["fee"])),
        notional,
        turnover_per_day(notional, equity, elapsed_ms),
        win_rate(profits),
        profit_factor(profits),
    )
    return dict(zip(names, figures, strict=True))


def _realised_by_pair(fills: Mapping[str, np.ndarray]) -> np.ndarray:
    if "pair" not in fills:
        return realised(fills)
    traded = [np.asarray(fills["pair"]) == pair for pair in np.unique(fills["pair"])]
    parts = [
        realised({name: np.asarray(fills[name])[of_pair] for name in ("quantity", "price", "fee")})
        for of_pair in traded
    ]
    return np.concatenate([np.empty(0), *parts])


def _downside(rets: np.ndarray) -> float:
    return math.sqrt(float(np.mean(np.square(np.minimum(rets, 0.0)))))


def _ratio(above: float, below: float, scale: float) -> Measured:
    """Return above / below * scale; None where `below` is nothing but rounding noise."""
    return above / below * scale if below > 1e-15 and math.isfinite(above) else None


def _is_flat(held: float, quantity: float) -> bool:
    return abs(held) <= 1e-9 * abs(quantity)
