"""Instants as people write them."""

from datetime import UTC, datetime

from market.errors import BadInput


def moment_ms(text: str, *, field: str = "") -> int:
    """Return epoch milliseconds of `2024-10-01`, `2024-10-01T12:30` (UTC unless it says otherwise), or of ms.

    :raises BadInput: when it is neither.
    """
    if text.strip().isdigit() and len(text.strip()) > 8:
        return int(text)
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(
            f"{text!r} is no date; write it like 2024-10-01 or 2024-10-01T12:30 (UTC)", field=field
        ) from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
