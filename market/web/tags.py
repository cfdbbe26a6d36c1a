"""Template filters and tags of the product's pages (a builtin library: no {% load %} needed)."""

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from market.web import numbers
from market.web.definitions import DEFINITIONS

register = template.Library()
register.filter("plain", numbers.plain)
register.filter("price", numbers.price)
register.filter("digits", numbers.digits)
register.filter("span", numbers.seconds)
register.filter("currency", numbers.currency_of)


@register.filter
def amount(value: Decimal | float | None, currency: str = "") -> SafeString:
    """Write an amount with its currency: `50,000.00 USD`."""
    return _with_unit(numbers.grouped(value), currency)


@register.filter
def change(value: Decimal | float | None, currency: str = "") -> SafeString:
    """Write a gain or loss: sign plus colour."""
    text = _with_unit(numbers.signed(value), currency)
    return format_html('<span class="{}">{}</span>', tone(value), text)


@register.filter
def share(value: Decimal | float | None, places: int = 2) -> str:
    """Write a fraction as percent."""
    return numbers.percent(value, places)


@register.filter
def change_share(value: Decimal | float | None) -> SafeString:
    """Write a gain or loss given as a fraction: sign, percent and colour."""
    return format_html('<span class="{}">{}</span>', tone(value), numbers.percent(value, sign=True))


@register.filter
def number(value: Decimal | float | None, places: int = 2) -> str:
    """Write a plain number."""
    return numbers.grouped(value, places)


@register.filter
def exact(value: Decimal | None) -> str:
    """Write an amount with all its places: `12,345.678901`."""
    if value is None:
        return numbers.EMPTY
    text = numbers.plain(abs(value)) or ""
    whole, dot, rest = text.partition(".")
    return (numbers.MINUS if value < 0 else "") + f"{int(whole):,}{dot}{rest}"


@register.filter
def tone(value: Decimal | float | None) -> str:
    """Return the colour class of a gain or loss."""
    if value is None or value != value or value == 0:
        return "flat"
    return "gain" if value > 0 else "loss"


@register.filter
def when(value: datetime | int | None) -> SafeString | str:
    """Write an instant (datetime or epoch ms) in UTC; a script can switch it to local time."""
    at = numbers.from_ms(value) if isinstance(value, int) else value
    if at is None:
        return numbers.EMPTY
    return format_html(
        '<time datetime="{}" data-ms="{}">{}</time>',
        at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        numbers.to_ms(at),
        at.strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


@register.filter
def moment(value: int | None) -> SafeString | str:
    """Write an instant shortly, for narrow tables: with its year only where that is not this one."""
    at = numbers.from_ms(value)
    if at is None:
        return numbers.EMPTY
    is_this_year = at.year == timezone.now().year
    return format_html(
        '<time datetime="{}" data-ms="{}" data-short title="{}">{}</time>',
        at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        value,
        at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        at.strftime("%m-%d %H:%M:%S" if is_this_year else "%Y-%m-%d %H:%M:%S"),
    )


@register.filter
def day(value: int | None) -> SafeString | str:
    """Write the UTC date of an instant; the exact time is in its `title`."""
    at = numbers.from_ms(value)
    if at is None:
        return numbers.EMPTY
    return format_html(
        '<span title="{}">{}</span>', at.strftime("%Y-%m-%d %H:%M:%S UTC"), at.strftime("%Y-%m-%d")
    )


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """Write how long ago a wall-clock instant was; a script keeps it counting."""
    if value is None:
        return "never"
    age = (timezone.now() - value).total_seconds()
    return format_html(
        '<time datetime="{}" data-ago="{}" title="{}">{} ago</time>',
        value.strftime("%Y-%m-%dT%H:%M:%SZ"),
        numbers.to_ms(value),
        value.strftime("%Y-%m-%d %H:%M:%S UTC"),
        numbers.seconds(max(0, age)),
    )


@register.filter
def left(value: datetime | None) -> SafeString | str:
    """Write how long it is until a wall-clock instant; the instant is in its `title`."""
    if value is None:
        return "never"
    span = numbers.seconds(max(0, (value - timezone.now()).total_seconds()))
    return format_html('<span title="{}">{}</span>', value.strftime("%Y-%m-%d %H:%M:%S UTC"), span)


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """Read a key whose name is not an identifier; None when absent."""
    return mapping.get(key) if isinstance(mapping, dict) else None


@register.filter
def words(text: str) -> list[str]:
    """Split a text into words, for short fixed lists in a template."""
    return text.split()


@register.filter
def pretty(value: Any) -> str:
    """Write settings as indented JSON."""
    return json.dumps(value, indent=2, sort_keys=True, default=str)


@register.filter
def attribute(value: float | None) -> str:
    """Write a number the way HTML attributes need it."""
    return "0" if value is None else f"{value:.6g}"


@register.filter
def at(rows: Sequence[Any] | None, index: int) -> Any:
    """Return a list's element; None beyond its end."""
    return rows[index] if rows is not None and 0 <= index < len(rows) else None


@register.filter
def size(quantity: Decimal) -> str | None:
    """Write an unsigned quantity; the side says which way it went."""
    return numbers.plain(abs(quantity))


@register.filter
def notional(fill: Any) -> Decimal:
    """Return the value of a fill in quote currency, unsigned."""
    return abs(fill.quantity * fill.price)


@register.filter
def admin_list(opts: Any) -> str:
    """Return the address name of a model's list in the admin."""
    return f"admin:{opts.app_label}_{opts.model_name}_changelist"


@register.filter
def limit(value: float) -> str:
    """Write a limit given as a fraction; 0 switches it off."""
    return numbers.percent(value, 1) if value else "off"


@register.simple_tag
def define(name: str) -> str:
    """Write the definition of a figure, for its `title`."""
    return DEFINITIONS[name]


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw a symbol of static/img/icons.svg."""
    return format_html(
        '<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><use href="{}#{}"></use></svg>',
        static("img/icons.svg"),
        name,
    )


@register.inclusion_tag("_figure.html")
def figure(label: str, value: Any, name: str, note: Any = "") -> dict[str, Any]:
    """Show one headline figure with its definition on hover."""
    return {"label": label, "value": value, "definition": DEFINITIONS[name], "note": note}


@register.inclusion_tag("_badge.html")
def badge(status: str) -> dict[str, str]:
    """Show a state as a coloured word."""
    return {"status": status, "tone": BADGES.get(str(status), "neutral")}


def _with_unit(text: str, unit: str) -> SafeString:
    if not unit or text == numbers.EMPTY:
        return format_html("{}", text)
    return format_html('{} <span class="unit">{}</span>', text, unit)


TONES = {
    "good": "running done active promoted filled equal live best",
    "busy": "pending queued stopping open sending planned",
    "warn": "paused reducing warning uncertain refused polled",
    "bad": "failed halted critical rejected different",
}
BADGES = {status: colour for colour, names in TONES.items() for status in names.split()}
