"""How much prices move: ranges and deviations, as shares of the close or in log units per bar."""

from typing import Any

from market.features.indicators import call
from market.features.kinds import Plan, ema, kind, period, wilder
from market.features.series import BASIS_POINTS

HLC = ("high", "low", "close")
FLAT_BPS = 1e-3  # deviations below a thousandth of a basis point count as this large
LN_16 = 2.772588722239781


@kind("Average true range as a share of the close", period=period(14))
def natr(period: int) -> Plan:
    return Plan((call("NATR", *HLC, timeperiod=period),), lambda b, m, x: x / 100, wilder(period))


@kind("True range of the bar as a share of the close")
def trange() -> Plan:
    return Plan((call("TRANGE", *HLC),), lambda b, m, x: x / b.close)


@kind("Average range from low to high as a share of the close", period=period(14))
def adr(period: int) -> Plan:
    return Plan((call("ADR", "high", "low", timeperiod=period),), lambda b, m, x: x / b.close)


@kind("Average absolute deviation of the close from its mean, as a share of the close", period=period(14))
def avgdev(period: int) -> Plan:
    return Plan((call("AVGDEV", "close", timeperiod=period),), lambda b, m, x: x / b.close)


@kind("Standard deviation of log returns, per bar", period=period(30, low=3))
def volatility(period: int) -> Plan:
    return Plan((call("STDDEV", "ret", timeperiod=period),), lambda b, m, x: x / BASIS_POINTS)


@kind(
    "Log of fast over slow standard deviation of returns",
    ordered=("fast", "slow"),
    fast=period(10, low=3),
    slow=period(60, low=3),
)
def volatility_ratio(fast: int, slow: int) -> Plan:
    calls = tuple(call("STDDEV", "ret", timeperiod=bars) for bars in (fast, slow))
    return Plan(calls, lambda b, m, x, y: m.log((x + FLAT_BPS) / (y + FLAT_BPS)))


def _root(series: str, period: int, divisor: float) -> Plan:
    def finish(bar: Any, maths: Any, mean: Any) -> Any:
        return maths.sqrt(maths.maximum(mean, 0.0) / divisor) / BASIS_POINTS

    return Plan((call("SMA", series, timeperiod=period),), finish)


@kind("Root of the mean squared log return, per bar", period=period(30))
def realised_volatility(period: int) -> Plan:
    return _root("ret2", period, 1.0)


@kind("Root of the mean squared downward log return, per bar", period=period(30))
def downside_volatility(period: int) -> Plan:
    return _root("down2", period, 1.0)


@kind("Parkinson's volatility from highs and lows, per bar", period=period(30))
def parkinson(period: int) -> Plan:
    return _root("span2", period, LN_16)


@kind("Garman and Klass's volatility from open, high, low and close, per bar", period=period(30))
def garman_klass(period: int) -> Plan:
    return _root("garman_klass", period, 1.0)


@kind("Rogers and Satchell's volatility, free of drift, per bar", period=period(30))
def rogers_satchell(period: int) -> Plan:
    return _root("rogers_satchell", period, 1.0)


@kind("Mass index: widening of the range, 0 when steady", fast=period(9), slow=period(25))
def massi(fast: int, slow: int) -> Plan:
    line = call("MASSI", "high", "low", fastperiod=fast, slowperiod=slow)
    return Plan((line,), lambda b, m, x: x / slow - 1, ema(fast, 2))
