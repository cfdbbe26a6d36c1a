"""Settings of sizing and exits: names, defaults, ranges. Environment, backtest and sessions share them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from market.kernel.plan import Plan


@dataclass(frozen=True, slots=True)
class PositionRules:
    """How positions are sized and left beside plain stop-loss, take-profit and trailing stop; 0 is off.

    `market.kernel.plan.Plan` says what each one does.
    """

    stop_atr: float = 0.0
    trailing_atr: float = 0.0
    trail_step: float = 0.0
    reward_ratio: float = 0.0
    break_even: float = 0.0
    max_bars: int = 0
    atr_bars: int = 14  # closed bars in the average true range
    size_fraction: float = 0.0
    risk_per_trade: float = 0.0
    volatility_target: float = 0.0
    kelly_fraction: float = 0.0
    kelly_cap: float = 0.5
    kelly_trades: int = 50
    kelly_min_trades: int = 20
    streak_losses: int = 0
    streak_factor: float = 0.5
    resize_band: float = 0.1
    dca_lots: int = 0
    dca_first: float = 0.05
    dca_spacing: float = 0.01
    dca_growth: float = 1.5
    dca_reluctance: float = 4.0
    dca_profit: float = 0.01
    dca_max_loss: float = 0.05


class Range(NamedTuple):
    """What a setting may be, ends included, and how that is said."""

    low: float
    high: float
    words: str


MOST_ATR_BARS = 500
TINY = 1e-6
SHARE = "between 0 and 1 (0.02 is 2 %)"
RANGES = {
    "stop_atr": Range(0, 100, "between 0 (off) and 100 average true ranges"),
    "trailing_atr": Range(0, 100, "between 0 (off) and 100 average true ranges"),
    "trail_step": Range(0, 0.999, "from 0 (off) to below 1 (0.01 is 1 %)"),
    "reward_ratio": Range(0, 100, "between 0 (off) and 100 times the stop's distance"),
    "break_even": Range(0, 0.999, "from 0 (off) to below 1 (0.01 is 1 %)"),
    "max_bars": Range(0, 10_000_000, "a number of bars from 0 (off) to 10,000,000"),
    "atr_bars": Range(1, MOST_ATR_BARS, f"from 1 to {MOST_ATR_BARS} bars"),
    "size_fraction": Range(0, 1, SHARE),
    "risk_per_trade": Range(0, 1, SHARE),
    "volatility_target": Range(0, 1, SHARE),
    "kelly_fraction": Range(0, 1, "between 0 (off) and 1 (0.5 is half Kelly)"),
    "kelly_cap": Range(TINY, 1, "above 0 and at most 1 (1 is all of the equity)"),
    "kelly_trades": Range(1, 100_000, "from 1 to 100,000 trades"),
    "kelly_min_trades": Range(1, 100_000, "from 1 to 100,000 trades"),
    "streak_losses": Range(0, 1000, "from 0 (off) to 1,000 losses"),
    "streak_factor": Range(TINY, 1, "above 0 and at most 1 (0.5 halves the size)"),
    "resize_band": Range(0, 1, SHARE),
    "dca_lots": Range(0, 100, "from 0 (off) to 100 lots"),
    "dca_first": Range(TINY, 1, "above 0 and at most 1 (0.05 is 5 % of the equity)"),
    "dca_spacing": Range(TINY, 0.999, "above 0 and below 1 (0.01 is 1 %)"),
    "dca_growth": Range(1, 10, "between 1 (equal lots) and 10"),
    "dca_reluctance": Range(1, 1000, "between 1 (a lot may spend all cash) and 1,000"),
    "dca_profit": Range(0, 10, "between 0 and 10 (0.01 is 1 %)"),
    "dca_max_loss": Range(0, 1, "between 0 (no bound) and 1 (0.05 is 5 %)"),
}
WHOLE = frozenset(field.name for field in fields(PositionRules) if field.type is int)
SWITCHES = (
    "stop_atr", "trailing_atr", "trail_step", "reward_ratio", "break_even", "max_bars", "size_fraction",
    "risk_per_trade", "volatility_target", "kelly_fraction", "streak_losses", "dca_lots",
)  # fmt: skip
NEEDS_ATR = ("stop_atr", "trailing_atr", "volatility_target")
SIZES = ("size_fraction", "risk_per_trade", "volatility_target", "kelly_fraction", "streak_losses")


def is_allowed(name: str, value: Any) -> bool:
    """Say whether one setting is a number within its range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high, _ = RANGES[name]  # both finite: neither infinities nor what is no number lie between them
    return low <= value <= high and (name not in WHOLE or value == int(value))


def contradiction(values: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return (setting, sentence) of the first two settings that make no sense together.

    :param values: these settings with `stop_loss` and `trailing`
    """

    def on(*names: str) -> bool:
        return any(values.get(name) for name in names)

    stops = ("stop_loss", "stop_atr", "trailing", "trailing_atr")
    if on("trail_step") and not on("trailing"):
        return (
            "trail_step",
            "trail_step makes the trailing stop move in steps: switch the trailing stop on too",
        )
    if on("reward_ratio") and not on(*stops):
        return "reward_ratio", "reward_ratio is a multiple of the stop's distance: switch a stop on too"
    if on("risk_per_trade") and not on(*stops):
        return "risk_per_trade", "risk_per_trade is what a hit stop costs: switch a stop on too"
    if on("dca_lots") and on(*SIZES):
        sized = next(name for name in SIZES if on(name))
        return sized, f"a Lowrider cycle (dca_lots) sizes its own lots: switch {sized} off"
    return None


def plan_of(values: Mapping[str, Any], number: Any = float) -> Plan:
    """Return the kernel's plan of these settings, in floats or another number; all 0 when none is on."""
    if not is_on(values):
        return Plan._make([number(0)] * len(Plan._fields))
    return Plan._make([number(1), *(number(values[name]) for name in Plan._fields[1:])])


def is_on(values: Mapping[str, Any]) -> bool:
    """Say whether any of the rules is switched on."""
    return any(values[name] for name in SWITCHES)


def needs_atr(values: Mapping[str, Any]) -> bool:
    return any(values[name] for name in NEEDS_ATR)


def average_true_range(high: np.ndarray, low: np.ndarray, close: np.ndarray, bars: int) -> np.ndarray:
    """Return the mean true range of the last `bars` bars at every close, float64 (n,), in quote currency.

    Fewer bars count at the beginning. The sum runs from the oldest bar to the newest, so that a value depends
    on its own bars alone, to the last bit, however long the arrays are.
    """
    before = np.concatenate((close[:1], close[:-1]))
    ranges = np.maximum(high, before) - np.minimum(low, before)  # (n,)
    if len(ranges):
        ranges[0] = high[0] - low[0]
    total, count = np.zeros(len(ranges)), np.zeros(len(ranges))
    for back in range(min(bars, len(ranges)) - 1, -1, -1):
        total[back:] += ranges[: len(ranges) - back]
        count[back:] += 1
    return total / np.maximum(count, 1)
