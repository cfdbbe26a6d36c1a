"""How numbers and times are written for people and for programs. Shared by pages and API."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

EMPTY = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def plain(value: Decimal | None) -> str | None:
    """Return the number without exponent and trailing zeros: what API and pages both show of an amount."""
    if value is None:
        return None
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def digits(text: str) -> str:
    """Return a decimal that came as text without the zeros that say nothing; other text as it is."""
    try:
        return f"{Decimal(text).normalize():f}"
    except InvalidOperation:
        return text


def grouped(value: Decimal | float | None, places: int = 2) -> str:
    """Return `12,345.60`; a dash for what is not known."""
    if value is None or value != value:
        return EMPTY
    text = f"{abs(value):,.{places}f}"
    return MINUS + text if value < 0 and text.strip("0.,") else text


def price(value: Decimal | float | None) -> str:
    """Return a price with as many places as its size needs."""
    if value is None or value != value:
        return EMPTY
    size = abs(float(value))
    places = 2 if size >= 100 else 4 if size >= 1 else 6 if size >= 0.01 else 8
    return grouped(value, places)


def signed(value: Decimal | float | None, places: int = 2) -> str:
    """Return the number with its sign: colour never carries meaning alone."""
    if value is None or value != value:
        return EMPTY
    text = grouped(abs(Decimal(value)), places)
    is_zero = not text.strip("0.,")
    return text if is_zero else f"+{text}" if value > 0 else f"{MINUS}{text}"


def percent(value: Decimal | float | None, places: int = 2, *, sign: bool = False) -> str:
    """Return a fraction as percent."""
    if value is None or value != value:
        return EMPTY
    number = value * 100
    return f"{signed(number, places) if sign else grouped(number, places)} %"


def seconds(value: float | None) -> str:
    """Return a span for people: `8 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`."""
    if value is None or value < 0:
        return EMPTY
    total = round(value)
    for size, name, small, small_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if total >= size:
            rest = total % size // small
            return f"{total // size} {name} {rest} {small_name}" if rest else f"{total // size} {name}"
    return f"{total} s"


def currency_of(pair: str) -> str:
    """Return the quote currency of `BTC/USD`: the unit of its prices and amounts."""
    return pair.rpartition("/")[2]


def from_ms(value: int | None) -> datetime | None:
    """Return an epoch-ms instant as aware UTC; None for none (0 or absent)."""
    return datetime.fromtimestamp(value / 1000, tz=UTC) if value else None


def to_ms(value: datetime) -> int:
    """Return an aware datetime as epoch ms."""
    return round(value.timestamp() * 1000)
