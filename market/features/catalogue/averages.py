"""Distance of the close from an average of the past, as a share of the close: positive above it."""

import math
from typing import Any

from market.features.indicators import call
from market.features.kinds import DAYS, Number, Param, Plan, ema, fade, kind, period, wilder

# Recursions whose weights depend on the prices have no closed form. Their fade was measured: of 6,000 windows
# of real minute and hour bars none was off an infinite history's value by more than 1e-6 of the spread.
HILBERT_FADE = 800
SAR_FADE = 12  # over the acceleration
SUPERTREND_FADE = 300  # times the multiplier, beyond the fade of its true range


def distance(bar: Any, maths: Any, average: Any) -> Any:
    return (bar.close - average) / bar.close


def _of_close(function: str, forgets: int = 0, **args: Number) -> Plan:
    return Plan((call(function, "close", **args),), distance, forgets)


@kind("Distance of the close from its simple moving average", period=period(20, high=DAYS))
def sma(period: int) -> Plan:
    return _of_close("SMA", timeperiod=period)


@kind("Distance of the close from its exponential moving average", period=period(20))
def ema_(period: int) -> Plan:
    return _of_close("EMA", ema(period), timeperiod=period)


@kind("Distance of the close from its linearly weighted moving average", period=period(20))
def wma(period: int) -> Plan:
    return _of_close("WMA", timeperiod=period)


@kind("Distance of the close from its double exponential moving average", period=period(20))
def dema(period: int) -> Plan:
    return _of_close("DEMA", ema(period, 2), timeperiod=period)


@kind("Distance of the close from its triple exponential moving average", period=period(20))
def tema(period: int) -> Plan:
    return _of_close("TEMA", ema(period, 3), timeperiod=period)


@kind("Distance of the close from its triangular moving average", period=period(20))
def trima(period: int) -> Plan:
    return _of_close("TRIMA", timeperiod=period)


@kind("Distance of the close from Kaufman's adaptive moving average", period=period(10))
def kama(period: int) -> Plan:
    return _of_close("KAMA", fade(_least_weight(period)), timeperiod=period)


def _least_weight(period: int) -> float:
    """Return Kaufman's weight at the lowest efficiency that a choppy market keeps up."""
    slowest, fastest, efficiency = 2 / 31, 2 / 3, 0.4 / math.sqrt(period)
    return (slowest + efficiency * (fastest - slowest)) ** 2


@kind(
    "Distance of the close from Tillson's T3 average",
    period=period(5),
    volume_factor=Param(0.7, 0, 1, whole=False),
)
def t3(period: int, volume_factor: float) -> Plan:
    return _of_close("T3", ema(period, 6), timeperiod=period, vfactor=volume_factor)


@kind("Distance of the close from its Hull moving average", period=period(20, low=4))
def hma(period: int) -> Plan:
    return _of_close("HMA", timeperiod=period)


@kind("Distance of the close from its zero-lag exponential moving average", period=period(20, low=3))
def zlema(period: int) -> Plan:
    return _of_close("ZLEMA", ema(period), timeperiod=period)


@kind("Distance of the close from Wilder's moving average", period=period(14))
def rma(period: int) -> Plan:
    return _of_close("RMA", wilder(period), timeperiod=period)


@kind("Distance of the close from the middle between its highest and lowest value", period=period(14))
def midpoint(period: int) -> Plan:
    return _of_close("MIDPOINT", timeperiod=period)


@kind("Distance of the close from the middle between highest high and lowest low", period=period(14))
def midprice(period: int) -> Plan:
    return Plan((call("MIDPRICE", "high", "low", timeperiod=period),), distance)


@kind("Distance of the close from the end of its regression line", period=period(14))
def linearreg(period: int) -> Plan:
    return _of_close("LINEARREG", timeperiod=period)


@kind("Distance of the close from the regression line's forecast of it", period=period(14))
def tsf(period: int) -> Plan:
    return _of_close("TSF", timeperiod=period)


@kind("Distance of the close from Hilbert's instantaneous trend line")
def ht_trendline() -> Plan:
    return _of_close("HT_TRENDLINE", HILBERT_FADE)


@kind(
    "Distance of the close from the parabolic stop-and-reverse",
    acceleration=Param(0.02, 0.005, 0.2, whole=False),
    maximum=Param(0.2, 0.05, 1, whole=False),
)
def sar(acceleration: float, maximum: float) -> Plan:
    return Plan(
        (call("SAR", "high", "low", acceleration=acceleration, maximum=maximum),),
        distance,
        round(SAR_FADE / acceleration),
    )


@kind(
    "Distance of the close from the super-trend line",
    period=period(10),
    multiplier=Param(3, 0.5, 10, whole=False),
)
def supertrend(period: int, multiplier: float) -> Plan:
    line = call("SUPERTREND", "high", "low", "close", timeperiod=period, multiplier=multiplier)
    return Plan(
        (line,),
        lambda bar, maths, out: distance(bar, maths, out[0]),
        wilder(period) + round(SUPERTREND_FADE * max(multiplier, 1)),
    )
