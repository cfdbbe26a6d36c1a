"""The calendar at the bar's close, in UTC: crypto never closes, but its traders sleep."""

import math
from typing import Any

from market.features.kinds import Param, Plan, kind

DAY_MS = 86_400_000.0
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS  # the epoch began on a Thursday


def within(milliseconds: Any, cycle: float, maths: Any) -> Any:
    """Return the milliseconds since the cycle began, exactly."""
    return milliseconds - cycle * maths.floor(milliseconds / cycle)


def turn(milliseconds: Any, cycle: float, maths: Any) -> Any:
    """Return the angle of a moment within its cycle, in radians."""
    return within(milliseconds, cycle, maths) / cycle * (2 * math.pi)


@kind("Sine of the time of day")
def day_sin() -> Plan:
    return Plan((), lambda b, m: m.sin(turn(b.close_ms, DAY_MS, m)))


@kind("Cosine of the time of day")
def day_cos() -> Plan:
    return Plan((), lambda b, m: m.cos(turn(b.close_ms, DAY_MS, m)))


@kind("Sine of the time of the week, which begins on Monday")
def week_sin() -> Plan:
    return Plan((), lambda b, m: m.sin(turn(b.close_ms - MONDAY_MS, WEEK_MS, m)))


@kind("Cosine of the time of the week, which begins on Monday")
def week_cos() -> Plan:
    return Plan((), lambda b, m: m.cos(turn(b.close_ms - MONDAY_MS, WEEK_MS, m)))


@kind("1 on Saturday and Sunday, else 0")
def weekend() -> Plan:
    return Plan((), lambda b, m: (within(b.close_ms - MONDAY_MS, WEEK_MS, m) >= 5 * DAY_MS) * 1.0)


@kind(
    "1 between two hours of the day (UTC), else 0; the default is when New York trades",
    ordered=("start", "end"),
    start=Param(14, 0, 23),
    end=Param(21, 1, 24),
)
def session(start: int, end: int) -> Plan:
    def finish(bar: Any, maths: Any) -> Any:
        hour = within(bar.close_ms, DAY_MS, maths) / 3_600_000
        return (hour >= start) * (hour < end) * 1.0

    return Plan((), finish)
