"""Form fields in the product's own units."""

from typing import Any

from django import forms

from market.candles import MS
from market.errors import BadInput
from market.moments import moment_ms


class MomentField(forms.CharField):
    """An instant in UTC; cleans to epoch ms, None when empty."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"})

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            return moment_ms(text)
        except BadInput as error:
            raise forms.ValidationError(error.message) from None


def interval_field(**given: Any) -> forms.ChoiceField:
    """Return a choice of candle intervals by name."""
    empty = [] if given.get("required", True) else [("", "as the data says")]
    return forms.ChoiceField(choices=[*empty, *((name, name) for name in MS)], **given)
