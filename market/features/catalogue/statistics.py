"""Z-scores, regression, correlation and the shape of the distribution of returns."""

from typing import Any

from market.features.indicators import call
from market.features.kinds import Plan, kind, period

FLAT_SHARE = 1e-7  # a deviation below this share of the close counts as this large
FLAT_BPS = 1e-3


@kind("Close less its mean, in standard deviations", period=period(60, low=3))
def zscore(period: int) -> Plan:
    calls = (call("SMA", "close", timeperiod=period), call("STDDEV", "close", timeperiod=period))
    return Plan(calls, lambda b, m, mean, std: (b.close - mean) / m.maximum(std, FLAT_SHARE * b.close))


@kind("Log return less its mean, in standard deviations", period=period(60, low=3))
def return_zscore(period: int) -> Plan:
    calls = (call("SMA", "ret", timeperiod=period), call("STDDEV", "ret", timeperiod=period))
    return Plan(calls, lambda b, m, mean, std: (b.ret - mean) / m.maximum(std, FLAT_BPS), reads=("ret",))


@kind("Range of the bar less its mean, in standard deviations", period=period(60, low=3))
def range_zscore(period: int) -> Plan:
    calls = (call("SMA", "span", timeperiod=period), call("STDDEV", "span", timeperiod=period))
    return Plan(calls, lambda b, m, mean, std: (b.span - mean) / m.maximum(std, FLAT_BPS), reads=("span",))


@kind("Slope of the regression line per bar, as a share of the close", period=period(14))
def linearreg_slope(period: int) -> Plan:
    return Plan((call("LINEARREG_SLOPE", "close", timeperiod=period),), lambda b, m, x: x / b.close)


@kind("Net move over the sum of all moves, 0..1 (efficiency ratio)", period=period(10))
def er(period: int) -> Plan:
    return Plan((call("ER", "close", timeperiod=period),), lambda b, m, x: x)


@kind("Range of closes over the sum of all moves (vertical horizontal filter)", period=period(28))
def vhf(period: int) -> Plan:
    return Plan((call("VHF", "close", timeperiod=period),), lambda b, m, x: x)


@kind("Skewness of log returns about zero", period=period(60, low=5))
def skewness(period: int) -> Plan:
    def finish(bar: Any, maths: Any, cubes: Any, squares: Any) -> Any:
        variance = maths.maximum(squares, 1e-2)  # moves below a tenth of a basis point are flat
        return cubes / (variance * maths.sqrt(variance))

    return Plan((call("SMA", "ret3", timeperiod=period), call("SMA", "ret2", timeperiod=period)), finish)


@kind("Correlation of highs and lows: how far ranges keep their size", period=period(30, low=3))
def range_correlation(period: int) -> Plan:
    return Plan((call("CORREL", "high", "low", timeperiod=period),), lambda b, m, x: x)


@kind("Beta of the moves of highs on the moves of lows", period=period(30, low=3))
def range_beta(period: int) -> Plan:
    return Plan((call("BETA", "high", "low", timeperiod=period),), lambda b, m, x: x)
