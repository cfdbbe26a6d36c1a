"""The form that starts a portfolio plan."""

from typing import Any

from django import forms

from agents.models import TrainedModel
from agents.selectors import portfolio_models
from market.candles import MS
from market.web.fields import interval_field
from trading.forms import OnAccount

RISK_HELP = "Of each session; of a model's plan loss limits act on all together. Empty: the default limits."


class PlanForm(OnAccount):
    field_order = (
        "name",
        "account",
        "model",
        "pairs",
        "weights",
        "capital",
        "interval",
        "every",
        "band",
        "risk",
    )
    name = forms.CharField(max_length=80)
    model = forms.ModelChoiceField(
        queryset=TrainedModel.objects.none(),
        required=False,
        empty_label="none: the weights below",
        help_text="One that was trained on a portfolio: it gives new weights at the close of its bars.",
    )
    pairs = forms.CharField(
        max_length=1000,
        required=False,
        label="Pairs of the model",
        help_text="As the venue spells them, in the model's order: BTC/USD, ETH/USD. Empty: its own names.",
    )
    weights = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 4}),
        max_length=2000,
        required=False,
        help_text="Without a model: one pair per line with its share, like BTC/USD 0.5. What is left to 1 "
        "stays in cash.",
    )
    capital = forms.DecimalField(
        min_value=0, max_digits=20, decimal_places=8, help_text="Quote currency, for all pairs together."
    )
    interval = interval_field(required=False, help_text="Of the bars at whose close it looks.")
    every = forms.IntegerField(
        min_value=1,
        max_value=10_000,
        required=False,
        label="Bars between two looks",
        help_text="Empty: 1. A model has its own.",
    )
    band = forms.FloatField(
        min_value=0,
        max_value=0.5,
        required=False,
        help_text="How far a share may stray; 0.05 is five points. Empty: 0.05. A model has its own.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        self.fields["model"].queryset = portfolio_models(user)  # type: ignore[attr-defined]
        self.fields["interval"].choices = [("", "1h, of a model its own"), *((name, name) for name in MS)]  # type: ignore[attr-defined]
        self.fields["risk"].help_text = RISK_HELP

    def clean_interval(self) -> str | None:
        return self.cleaned_data["interval"] or None

    def clean_pairs(self) -> list[str] | None:
        return self.cleaned_data["pairs"].replace(",", " ").split() or None

    def clean_weights(self) -> dict[str, float] | None:
        weights: dict[str, float] = {}
        for line in filter(None, map(str.strip, self.cleaned_data["weights"].splitlines())):
            pair, _, share = line.partition(" ")
            try:
                weights[pair] = float(share)
            except ValueError:
                raise forms.ValidationError(
                    f"Write a pair and its share, like BTC/USD 0.5, not {line!r}."
                ) from None
        return weights or None
