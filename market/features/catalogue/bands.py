"""Where the close lies between two bands (-1 lower, 0 middle, 1 upper), and how wide the bands are."""

from typing import Any

from market.features.indicators import call
from market.features.kinds import Param, Plan, ema, kind, period, wilder

FLAT = 1e-7  # bands narrower than this share of the close count as this wide

MULTIPLIER = Param(2, 0.5, 10, whole=False)


def position(bar: Any, maths: Any, out: Any) -> Any:
    """Return the place of the close between `out` = (upper, middle, lower)."""
    return (2 * bar.close - out[0] - out[2]) / maths.maximum(out[0] - out[2], FLAT * bar.close)


def width(bar: Any, maths: Any, out: Any) -> Any:
    return (out[0] - out[2]) / bar.close


@kind("Place of the close between Bollinger's bands", period=period(20), multiplier=MULTIPLIER)
def bbands_position(period: int, multiplier: float) -> Plan:
    return Plan(
        (call("BBANDS", "close", timeperiod=period, nbdevup=multiplier, nbdevdn=multiplier),), position
    )


@kind("Width of Bollinger's bands as a share of the close", period=period(20), multiplier=MULTIPLIER)
def bbands_width(period: int, multiplier: float) -> Plan:
    return Plan((call("BBANDS", "close", timeperiod=period, nbdevup=multiplier, nbdevdn=multiplier),), width)


@kind(
    "Place of the close between Keltner's bands",
    period=period(20),
    atr_period=period(10),
    multiplier=MULTIPLIER,
)
def keltner_position(period: int, atr_period: int, multiplier: float) -> Plan:
    bands = call("KC", "high", "low", "close", timeperiod=period, atrperiod=atr_period, nbdev=multiplier)
    return Plan((bands,), position, max(ema(period), wilder(atr_period)))


@kind("Place of the close between the highest high and the lowest low", period=period(20))
def donchian_position(period: int) -> Plan:
    return Plan((call("DONCHIAN", "high", "low", timeperiod=period),), position)


@kind("Distance from highest high to lowest low as a share of the close", period=period(20))
def donchian_width(period: int) -> Plan:
    return Plan((call("DONCHIAN", "high", "low", timeperiod=period),), width)


@kind("Place of the close between Headley's acceleration bands", period=period(20))
def accbands_position(period: int) -> Plan:
    return Plan((call("ACCBANDS", "high", "low", "close", timeperiod=period),), position)
