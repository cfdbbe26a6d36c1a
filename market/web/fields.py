"""Form fields in the product's own units."""

from datetime import UTC, datetime
from typing import Any

from django import forms

from market.candles import MS
from market.web.numbers import to_ms


class MomentField(forms.CharField):
    """An instant in UTC; cleans to epoch ms, None when empty."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"})

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise forms.ValidationError(
                "This is no date; write it like 2024-10-01 or 2024-10-01T12:30 (UTC)."
            ) from None
        return to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))


def interval_field(**given: Any) -> forms.ChoiceField:
    """Return a choice of candle intervals by name."""
    empty = [] if given.get("required", True) else [("", "as the data says")]
    return forms.ChoiceField(choices=[*empty, *((name, name) for name in MS)], **given)
