"""Dates as people write them, in epoch milliseconds."""

from datetime import UTC, datetime

from market.errors import BadInput


def epoch_ms(value: object, field: str = "from") -> int | None:
    """Return an ISO date or time (UTC unless it says otherwise), or epoch ms, as epoch ms; None stays None.

    :raises BadInput: when it is neither
    """
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    if text.lstrip("-").isdigit() and len(text) > 8:
        return int(text)
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise BadInput(
            f"{field} must be a date such as 2024-03-01 or 2024-03-01T12:00, or epoch milliseconds", field
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
