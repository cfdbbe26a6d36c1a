"""Dates as people write them, in epoch milliseconds."""

from market.moments import moment_ms


def epoch_ms(value: object, field: str = "from") -> int | None:
    """Return an ISO date or time (UTC unless it says otherwise), or epoch ms, as epoch ms; None stays None.

    :raises BadInput: when it is neither, or lies outside 1970 to 2100
    """
    if value is None or value == "":
        return None
    return moment_ms(f"{value:015d}" if type(value) is int and value >= 0 else str(value), field=field)
