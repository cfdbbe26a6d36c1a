"""Speed and acceleration of the price, in shares of the close (or of the average compared with)."""

from typing import Any

from market.features.indicators import call
from market.features.kinds import Plan, ema, kind, period

FAST_SLOW = {"fast": period(12), "slow": period(26)}
EXPONENTIAL = 1  # TA-Lib's number of the exponential average


def share(bar: Any, maths: Any, out: Any) -> Any:
    return out / bar.close


@kind("Change of the close over a number of bars, as a share of the earlier close", period=period(10, low=1))
def rocp(period: int) -> Plan:
    return Plan((call("ROCP", "close", timeperiod=period),), lambda b, m, x: x)


@kind("Change of the close over a number of bars, as a share of the present close", period=period(10, low=1))
def mom(period: int) -> Plan:
    return Plan((call("MOM", "close", timeperiod=period),), share)


@kind("Fast less slow exponential average as a share of the slow one", ordered=("fast", "slow"), **FAST_SLOW)
def ppo(fast: int, slow: int) -> Plan:
    line = call("PPO", "close", fastperiod=fast, slowperiod=slow, matype=EXPONENTIAL)
    return Plan((line,), lambda b, m, x: x / 100, ema(slow))


@kind("Fast less slow simple average as a share of the close", ordered=("fast", "slow"), **FAST_SLOW)
def apo(fast: int, slow: int) -> Plan:
    return Plan((call("APO", "close", fastperiod=fast, slowperiod=slow, matype=0),), share)


def _macd(fast: int, slow: int, signal: int, output: int) -> Plan:
    line = call("MACD", "close", fastperiod=fast, slowperiod=slow, signalperiod=signal)
    return Plan((line,), lambda b, m, x: x[output] / b.close, ema(max(slow, signal), 2))


@kind("MACD line as a share of the close", ordered=("fast", "slow"), **FAST_SLOW, signal=period(9))
def macd(fast: int, slow: int, signal: int) -> Plan:
    return _macd(fast, slow, signal, 0)


@kind("MACD signal line as a share of the close", ordered=("fast", "slow"), **FAST_SLOW, signal=period(9))
def macd_signal(fast: int, slow: int, signal: int) -> Plan:
    return _macd(fast, slow, signal, 1)


@kind("MACD less its signal as a share of the close", ordered=("fast", "slow"), **FAST_SLOW, signal=period(9))
def macd_hist(fast: int, slow: int, signal: int) -> Plan:
    return _macd(fast, slow, signal, 2)


@kind("Change of a triply smoothed close, as a share", period=period(15))
def trix(period: int) -> Plan:
    return Plan((call("TRIX", "close", timeperiod=period),), lambda b, m, x: x / 100, ema(period, 3))


@kind(
    "Coppock's curve: weighted average of two rates of change, as a share",
    average=period(10),
    fast=period(11),
    slow=period(14),
)
def coppock(average: int, fast: int, slow: int) -> Plan:
    line = call("COPPOCK", "close", wmaperiod=average, roc1period=fast, roc2period=slow)
    return Plan((line,), lambda b, m, x: x / 100)


@kind("Price of half a period ago less its average, as a share of the close", period=period(20))
def dpo(period: int) -> Plan:
    return Plan((call("DPO", "close", timeperiod=period),), share)


@kind("Average body of the bars as a share of the close", period=period(10))
def qstick(period: int) -> Plan:
    return Plan((call("QSTICK", "open", "close", timeperiod=period),), share)


@kind("Error of the previous bar's regression forecast, as a share of the close", period=period(14))
def fosc(period: int) -> Plan:
    return Plan((call("FOSC", "close", timeperiod=period),), lambda b, m, x: x / 100)


@kind("High above the exponential average as a share of the close (bull power)", period=period(13))
def bull_power(period: int) -> Plan:
    line = call("ERI", "high", "low", "close", timeperiod=period)
    return Plan((line,), lambda b, m, x: x[0] / b.close, ema(period))


@kind("Low above the exponential average as a share of the close (bear power)", period=period(13))
def bear_power(period: int) -> Plan:
    line = call("ERI", "high", "low", "close", timeperiod=period)
    return Plan((line,), lambda b, m, x: x[1] / b.close, ema(period))


@kind(
    "Fast less slow average of the bars' middles as a share of the close",
    ordered=("fast", "slow"),
    fast=period(5),
    slow=period(34),
)
def ao(fast: int, slow: int) -> Plan:
    return Plan((call("AO", "high", "low", fastperiod=fast, slowperiod=slow),), share)


@kind(
    "The awesome oscillator less its own average, as a share of the close",
    ordered=("fast", "slow"),
    fast=period(5),
    slow=period(34),
    signal=period(5),
)
def ac(fast: int, slow: int, signal: int) -> Plan:
    return Plan((call("AC", "high", "low", fastperiod=fast, slowperiod=slow, signalperiod=signal),), share)
