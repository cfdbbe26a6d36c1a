"""Returns and the shape of the last bar."""

from market.features.indicators import call
from market.features.kinds import DAYS, Plan, kind, period


@kind("Log return of the close over a number of bars", period=period(1, low=1, high=DAYS))
def log_return(period: int) -> Plan:
    return Plan((call("ROCR", "close", timeperiod=period),), lambda b, m, x: m.log(x))


@kind("Log return from the previous close to this open")
def gap() -> Plan:
    return Plan((), lambda b, m: b.gap / 10_000.0, reads=("gap",))


@kind("Log return from open to close of the bar")
def body() -> Plan:
    return Plan((), lambda b, m: b.body / 10_000.0, reads=("body",))


@kind("Log of high over low of the bar")
def span() -> Plan:
    return Plan((), lambda b, m: b.span / 10_000.0, reads=("span",))


@kind("Place of the close in the bar's range, -1 low, 1 high, 0 when the bar has no range")
def close_location() -> Plan:
    return Plan((), lambda b, m: (2 * b.close - b.high - b.low) / m.maximum(b.high - b.low, 1e-9 * b.close))


@kind("Upper shadow as a share of the bar's range")
def upper_shadow() -> Plan:
    return Plan(
        (), lambda b, m: (b.high - m.maximum(b.open, b.close)) / m.maximum(b.high - b.low, 1e-9 * b.close)
    )


@kind("Lower shadow as a share of the bar's range")
def lower_shadow() -> Plan:
    return Plan(
        (), lambda b, m: (-m.maximum(-b.open, -b.close) - b.low) / m.maximum(b.high - b.low, 1e-9 * b.close)
    )
