"""Form fields of the settings of a training spec, and what is read from and written into them."""

from collections.abc import Mapping
from typing import Any

import orjson
from django import forms

from agents.spec.settings import Setting

MIX = "terms"  # a reward of several terms: a choice of the form, in the spec `reward.terms` alone says it
WEIGHTS = "reward.terms."


class ListField(forms.CharField):
    """Values with commas between; cleans to a list, None when empty."""

    def __init__(self, *, item: type, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.item = item

    def clean(self, value: Any) -> list[Any] | None:
        text = super().clean(value)
        parts = [part.strip() for part in text.strip("[]() ").split(",")] if text else []
        try:
            return [self.item(part) for part in parts if part] or None
        except ValueError:
            kind = "whole numbers" if self.item is int else "numbers"
            raise forms.ValidationError(f"Write {kind} with commas between, not {text!r}.") from None


class PlainField(forms.CharField):
    """A number or a word; cleans to the one or the other, None when empty."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return orjson.loads(text) if text else None
        except orjson.JSONDecodeError:
            return text


def field_of(setting: Setting, *, is_first_empty: bool = False) -> forms.Field:
    """Return the form field of a setting; empty means what the preset says.

    :param is_first_empty: a choice may be left open, too
    """
    title = " ".join(filter(None, (setting.about, f"In files and lines: {setting.name}")))
    hint = f"{setting.range[:1].upper()}{setting.range[1:]}." if setting.range else ""
    given: dict[str, Any] = {"label": setting.label, "required": False, "help_text": hint}
    attrs = {"title": title}
    if setting.kind == "choice":
        choices = [(value, f"{value}: {about}" if about else value) for value, about in _choices(setting)]
        first = [("", "as the preset says")] if is_first_empty else []
        return forms.ChoiceField(choices=[*first, *choices], widget=forms.Select(attrs=attrs), **given)
    if setting.kind in ("whole", "number"):
        field = forms.IntegerField if setting.kind == "whole" else forms.FloatField
        limits: dict[str, Any] = {"min_value": setting.low, "max_value": setting.high}
        return field(widget=forms.NumberInput(attrs=attrs), **limits, **given)
    widget = forms.TextInput(attrs=attrs)
    items = {"wholes": int, "numbers": float, "texts": str}
    if setting.kind in items:
        return ListField(item=items[setting.kind], widget=widget, max_length=1000, **given)
    return PlainField(widget=widget, max_length=1000, **given)


def _choices(setting: Setting) -> tuple[tuple[str, str], ...]:
    if setting.name != "reward.kind":
        return setting.choices
    return (*setting.choices, (MIX, "a sum with weights of your own"))


def shown(value: Any) -> str:
    """Return a spec's value as a field shows it."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(shown(one) for one in value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def is_same(text: str, value: Any) -> bool:
    """Say whether a field's text is what `shown` made of the value, however the browser wrote it."""
    before = shown(value)
    if text.strip() == before:
        return True
    try:
        return float(text) == float(before)
    except ValueError:
        return text.replace(" ", "") == before.replace(" ", "")


def matters(setting: Setting, values: Mapping[str, Any]) -> bool:
    """Say whether a form shows a setting beside what was chosen in it."""
    is_mix = str(values.get("reward.kind")) == MIX
    if setting.name.startswith(WEIGHTS):
        return is_mix
    if setting.name == "reward.drawdown_penalty" and is_mix:
        return False
    return setting.says_something(values)
