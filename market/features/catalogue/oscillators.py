"""Bounded oscillators, brought to about -1..1 (or 0..1 where the sign carries nothing)."""

from market.features.indicators import call
from market.features.kinds import Param, Plan, ema, kind, period, wilder

HLC = ("high", "low", "close")


@kind("Wilder's relative strength, -1 only losses, 1 only gains", period=period(14))
def rsi(period: int) -> Plan:
    return Plan((call("RSI", "close", timeperiod=period),), lambda b, m, x: x / 50 - 1, wilder(period))


@kind("Chande's momentum, net gains over all moves, -1..1; 0 in a flat market", period=period(14))
def cmo(period: int) -> Plan:
    return Plan((call("CMO", "close", timeperiod=period),), lambda b, m, x: x / 100, wilder(period))


@kind("Strength of the trend, 0..1, whatever its direction (ADX)", period=period(14))
def adx(period: int) -> Plan:
    return Plan((call("ADX", *HLC, timeperiod=period),), lambda b, m, x: x / 100, wilder(period, 2))


@kind("Average of the trend's strength now and a period ago, 0..1 (ADXR)", period=period(14))
def adxr(period: int) -> Plan:
    return Plan((call("ADXR", *HLC, timeperiod=period),), lambda b, m, x: x / 100, wilder(period, 2))


@kind("Unsmoothed directional movement index, 0..1 (DX)", period=period(14))
def dx(period: int) -> Plan:
    return Plan((call("DX", *HLC, timeperiod=period),), lambda b, m, x: x / 100, wilder(period))


@kind("Upward directional movement, 0..1 (+DI)", period=period(14))
def plus_di(period: int) -> Plan:
    return Plan((call("PLUS_DI", *HLC, timeperiod=period),), lambda b, m, x: x / 100, wilder(period))


@kind("Downward directional movement, 0..1 (-DI)", period=period(14))
def minus_di(period: int) -> Plan:
    return Plan((call("MINUS_DI", *HLC, timeperiod=period),), lambda b, m, x: x / 100, wilder(period))


@kind("Upward less downward directional movement, -1..1", period=period(14))
def di_difference(period: int) -> Plan:
    calls = tuple(call(name, *HLC, timeperiod=period) for name in ("PLUS_DI", "MINUS_DI"))
    return Plan(calls, lambda b, m, plus, minus: (plus - minus) / 100, wilder(period))


@kind("How recent the highest high is against the lowest low, -1..1 (Aroon)", period=period(25))
def aroonosc(period: int) -> Plan:
    return Plan((call("AROONOSC", "high", "low", timeperiod=period),), lambda b, m, x: x / 100)


@kind("How recent the highest high is, 0..1 (Aroon up)", period=period(25))
def aroon_up(period: int) -> Plan:
    return Plan((call("AROON", "high", "low", timeperiod=period),), lambda b, m, x: x[1] / 100)


@kind("How recent the lowest low is, 0..1 (Aroon down)", period=period(25))
def aroon_down(period: int) -> Plan:
    return Plan((call("AROON", "high", "low", timeperiod=period),), lambda b, m, x: x[0] / 100)


@kind("Commodity channel index over 100", period=period(20))
def cci(period: int) -> Plan:
    return Plan((call("CCI", *HLC, timeperiod=period),), lambda b, m, x: x / 100)


@kind("Williams %R brought to -1..1", period=period(14))
def willr(period: int) -> Plan:
    return Plan((call("WILLR", *HLC, timeperiod=period),), lambda b, m, x: x / 50 + 1)


@kind(
    "Ultimate oscillator of three periods brought to -1..1",
    ordered=("fast", "middle", "slow"),
    fast=period(7),
    middle=period(14),
    slow=period(28),
)
def ultosc(fast: int, middle: int, slow: int) -> Plan:
    return Plan(
        (call("ULTOSC", *HLC, timeperiod1=fast, timeperiod2=middle, timeperiod3=slow),),
        lambda b, m, x: x / 50 - 1,
    )


def _stoch(fast: int, slow: int, signal: int, output: int) -> Plan:
    line = call("STOCH", *HLC, fastk_period=fast, slowk_period=slow, slowd_period=signal)
    return Plan((line,), lambda b, m, x: x[output] / 50 - 1)


@kind("Slow stochastic %K brought to -1..1", period=period(14), slow=period(3), signal=period(3))
def stoch_k(period: int, slow: int, signal: int) -> Plan:
    return _stoch(period, slow, signal, 0)


@kind("Slow stochastic %D brought to -1..1", period=period(14), slow=period(3), signal=period(3))
def stoch_d(period: int, slow: int, signal: int) -> Plan:
    return _stoch(period, slow, signal, 1)


@kind("Fast stochastic %K brought to -1..1", period=period(5), signal=period(3))
def stochf_k(period: int, signal: int) -> Plan:
    line = call("STOCHF", *HLC, fastk_period=period, fastd_period=signal)
    return Plan((line,), lambda b, m, x: x[0] / 50 - 1)


@kind(
    "Stochastic of the relative strength, brought to -1..1",
    period=period(14),
    fast=period(5),
    signal=period(3),
)
def stochrsi_d(period: int, fast: int, signal: int) -> Plan:
    line = call("STOCHRSI", "close", timeperiod=period, fastk_period=fast, fastd_period=signal)
    return Plan((line,), lambda b, m, x: x[1] / 50 - 1, wilder(period))


@kind("J line of KDJ, about -1..1", period=period(9), slow=period(3), signal=period(3))
def kdj_j(period: int, slow: int, signal: int) -> Plan:
    line = call("KDJ", *HLC, fastk_period=period, slowk_period=slow, slowd_period=signal)
    return Plan((line,), lambda b, m, x: x[2] / 50 - 1, wilder(max(slow, signal), 2))


@kind("Body of the bar over its range, -1..1 (balance of power)")
def bop() -> Plan:
    return Plan((call("BOP", "open", *HLC),), lambda b, m, x: x)


@kind("Upward less downward vortex", period=period(14))
def vortex(period: int) -> Plan:
    return Plan((call("VORTEX", *HLC, timeperiod=period),), lambda b, m, x: x[0] - x[1])


@kind("Intraday momentum: share of gains in all bodies, brought to -1..1", period=period(14))
def imi(period: int) -> Plan:
    return Plan((call("IMI", "open", "close", timeperiod=period),), lambda b, m, x: x / 50 - 1)


@kind("True strength: doubly smoothed momentum over its size, -1..1", slow=period(25), fast=period(13))
def tsi(slow: int, fast: int) -> Plan:
    line = call("TSI", "close", firstperiod=slow, secondperiod=fast)
    return Plan((line,), lambda b, m, x: x / 100, ema(max(slow, fast), 2))


def _smi(period: int, fast: int, slow: int, signal: int, output: int) -> Plan:
    line = call("SMI", *HLC, timeperiod=period, fastperiod=fast, slowperiod=slow, signalperiod=signal)
    return Plan((line,), lambda b, m, x: x[output] / 100, ema(max(fast, slow, signal), 3))


SMI = {"period": period(13), "fast": period(2), "slow": period(25), "signal": period(9)}


@kind("Stochastic momentum, -1..1", ordered=(), **SMI)
def smi(period: int, fast: int, slow: int, signal: int) -> Plan:
    return _smi(period, fast, slow, signal, 0)


@kind("Signal line of stochastic momentum, -1..1", ordered=(), **SMI)
def smi_signal(period: int, fast: int, slow: int, signal: int) -> Plan:
    return _smi(period, fast, slow, signal, 1)


@kind(
    "Relative volatility: share of upward deviation, brought to -1..1",
    period=period(14),
    deviation=period(10),
)
def rvi(period: int, deviation: int) -> Plan:
    line = call("RVI", "close", timeperiod=period, stddevperiod=deviation)
    return Plan((line,), lambda b, m, x: x / 50 - 1, wilder(period))


@kind("Share of the last closes that lie below this one, brought to -1..1", period=Param(60, 5, 400))
def percentrank(period: int) -> Plan:
    return Plan((call("PERCENTRANK", "close", timeperiod=period),), lambda b, m, x: x / 50 - 1)
