"""Ready-made feature sets."""

from typing import Any

from market.errors import BadInput
from market.features.catalogue import CATALOGUE
from market.features.specs import FeatureSet, FeatureSpec


def _set(**columns: tuple[str, dict[str, Any]]) -> FeatureSet:
    return FeatureSet(tuple(FeatureSpec(name, kind, params) for name, (kind, params) in columns.items()))


def _columns(kind: str, *periods: int) -> dict[str, tuple[str, dict[str, Any]]]:
    return {f"{kind}_{period}": (kind, {"period": period}) for period in periods}


PRICE = _set(**_columns("log_return", 1, 2, 5, 10, 30, 60))

# Without volume, because a live bar built from a venue's ticker has none; a short memory, so that a session
# warms up on one request for candles.
CORE = _set(
    **_columns("log_return", 1, 5, 15, 60),
    **_columns("zscore", 20, 60),
    **_columns("sma", 120),
    **_columns("linearreg_slope", 30),
    macd_hist=("macd_hist", {}),
    **_columns("rsi", 14),
    **_columns("stoch_k", 14),
    **_columns("donchian_position", 60),
    **_columns("adx", 14),
    **_columns("di_difference", 14),
    **_columns("er", 30),
    **_columns("natr", 14),
    **_columns("volatility", 60),
    volatility_ratio=("volatility_ratio", {}),
    close_location=("close_location", {}),
    day_sin=("day_sin", {}),
    day_cos=("day_cos", {}),
)

FULL = _set(
    **_columns("log_return", 1, 2, 5, 10, 30, 60, 120),
    **_columns("sma", 50, 200),
    **_columns("ema", 50),
    **_columns("rsi", 7),
    **_columns("zscore", 20),
    **_columns("volatility", 10),
    **{name: (name, {}) for name in CATALOGUE if name != "log_return"},
)

# Where the price stands against the last half hour to day, and the time of day: what edges of hours to a day
# need. Few columns on purpose: a year holds few independent days to learn from.
SWING = _set(
    **_columns("sma", 30, 120, 240, 480, 960, 1440),
    **_columns("log_return", 60, 240, 720, 1440),
    day_sin=("day_sin", {}),
    day_cos=("day_cos", {}),
)

# Two of those averages and the time of day. What that gains and costs on planted markets: docs/learning.md.
SLOW = _set(
    **_columns("sma", 240, 1440),
    day_sin=("day_sin", {}),
    day_cos=("day_cos", {}),
)

# Core and twelve more: with the portfolio's five values an observation of 38 numbers (docs/environments.md).
WIDE = FeatureSet(
    CORE.specs
    + _set(
        **_columns("log_return", 2, 10, 30, 120),
        **_columns("sma", 20, 60),
        **_columns("rsi", 7),
        **_columns("aroonosc", 25),
        **_columns("bbands_width", 20),
        **_columns("parkinson", 30),
        week_sin=("week_sin", {}),
        week_cos=("week_cos", {}),
    ).specs
)

PRESETS: dict[str, FeatureSet] = {
    "price": PRICE,
    "core": CORE,
    "swing": SWING,
    "slow": SLOW,
    "wide": WIDE,
    "full": FULL,
}


def preset(name: str) -> FeatureSet:
    """Return the ready-made feature set of that name.

    :raises BadInput: when there is none.
    """
    if name not in PRESETS:
        raise BadInput(f"There is no feature set {name!r}; choose one of {', '.join(PRESETS)}.", "features")
    return PRESETS[name]
