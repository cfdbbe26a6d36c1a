"""Volume: everything here needs a source that reports it. Absent trade gives 0, never a division by nothing.

Running sums keep a residue of what left the window, so a share of volume is taken only where the window holds
any: its maximum, which is exact, decides.
"""

from typing import Any

from market.features.indicators import call
from market.features.kinds import Plan, ema, kind, period

FAST_SLOW = {"fast": period(12), "slow": period(26)}


def share_of(part: Any, mean: Any, top: Any, maths: Any) -> Any:
    """Return part / mean where the window's largest volume `top` is positive, else 0."""
    traded = (top > 0) * 1.0
    return part * traded / maths.maximum(mean, 1e-9 * top + (1.0 - traded))


@kind("Money flow: share of value traded on rising bars, brought to -1..1", period=period(14))
def mfi(period: int) -> Plan:
    line = call("MFI", "high", "low", "close", "volume", timeperiod=period)
    return Plan((line,), lambda b, m, x: x / 50 - 1)


def _shares(part: str, period: int) -> Plan:
    names = (("SMA", part), ("SMA", "volume"), ("MAX", "volume"))
    calls = tuple(call(function, name, timeperiod=period) for function, name in names)
    return Plan(calls, lambda b, m, x, mean, top: share_of(x, mean, top, m))


@kind(
    "Volume weighted by where bars closed in their range, over all volume, -1..1 (Chaikin)", period=period(20)
)
def cmf(period: int) -> Plan:
    return _shares("flow", period)


@kind(
    "Volume of rising less falling bars over all volume, -1..1 (bounded on-balance volume)", period=period(20)
)
def obv_share(period: int) -> Plan:
    return _shares("signed_volume", period)


@kind("Volume of the bar over its mean, less 1", period=period(20))
def rvol(period: int) -> Plan:
    calls = (call("SMA", "volume", timeperiod=period), call("MAX", "volume", timeperiod=period))
    return Plan(calls, lambda b, m, mean, top: share_of(b.volume - mean, mean, top, m), reads=("volume",))


@kind("Distance of the close from the volume-weighted mean price, as a share", period=period(30))
def vwma(period: int) -> Plan:
    names = (("SMA", "value"), ("SMA", "volume"), ("MAX", "volume"))
    calls = tuple(call(function, name, timeperiod=period) for function, name in names)

    def finish(bar: Any, maths: Any, value: Any, mean: Any, top: Any) -> Any:
        return share_of(mean - value / bar.close, mean, top, maths)

    return Plan(calls, finish)


@kind("Fast less slow average volume as a share of the slow one", ordered=("fast", "slow"), **FAST_SLOW)
def pvo(fast: int, slow: int) -> Plan:
    line = call("PVO", "volume", fastperiod=fast, slowperiod=slow, matype=1)
    return Plan((line,), lambda b, m, x: x / 100, ema(slow))


@kind(
    "Fast less slow average of the accumulation line, in mean volumes (Chaikin)",
    ordered=("fast", "slow"),
    fast=period(3),
    slow=period(10),
)
def adosc(fast: int, slow: int) -> Plan:
    line = call("ADOSC", "high", "low", "close", "volume", fastperiod=fast, slowperiod=slow)
    window = 3 * slow
    calls = (line, call("SMA", "volume", timeperiod=window), call("MAX", "volume", timeperiod=window))
    return Plan(calls, lambda b, m, x, mean, top: share_of(x, mean, top, m), ema(slow))


@kind("Log return times value traded, averaged, over mean value traded (force index)", period=period(13))
def efi(period: int) -> Plan:
    names = (("SMA", "force"), ("SMA", "value"), ("MAX", "value"))
    calls = tuple(call(function, name, timeperiod=period) for function, name in names)
    return Plan(calls, lambda b, m, x, mean, top: share_of(x, mean, top, m) / 10_000.0)


@kind("Root of value traded less its mean, in standard deviations", period=period(60, low=3))
def value_zscore(period: int) -> Plan:
    names = ("SMA", "STDDEV", "MAX")
    calls = tuple(call(function, "root_value", timeperiod=period) for function in names)

    def finish(bar: Any, maths: Any, mean: Any, deviation: Any, top: Any) -> Any:
        spread = maths.maximum(deviation, 1e-6 * top)
        return share_of(bar.root_value - mean, spread, top, maths)

    return Plan(calls, finish, reads=("root_value",))


@kind("Correlation of log returns with the root of value traded", period=period(30, low=5))
def return_value_correlation(period: int) -> Plan:
    return Plan((call("CORREL", "ret", "root_value", timeperiod=period),), lambda b, m, x: x)
