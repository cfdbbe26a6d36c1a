"""Instants as people write them."""

from datetime import UTC, datetime

from market.errors import BadInput

LAST_MS = 4_102_444_800_000  # 2100-01-01T00:00Z


def moment_ms(text: str, *, field: str = "") -> int:
    """Return epoch milliseconds of `2024-10-01`, `2024-10-01T12:30` (UTC unless it says otherwise), or of ms.

    :raises BadInput: when it is neither.
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) > 8:
        return _bounded(int(text[:20]), field)
    try:
        at = datetime.fromisoformat(text)
        ms = round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadInput(
            f"{text!r} is no date; write it like 2024-10-01 or 2024-10-01T12:30 (UTC)", field=field
        ) from None
    return _bounded(ms, field)


def written_ms(ms: int) -> str:
    """Return epoch milliseconds as `2024-10-01 12:30 UTC`."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _bounded(ms: int, field: str) -> int:
    if not 0 <= ms <= LAST_MS:
        raise BadInput("the date must lie between 1970 and 2100", field=field)
    return ms
