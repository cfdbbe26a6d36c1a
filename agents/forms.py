"""Forms about learning."""

from typing import Any

from django import forms

from agents.models import TrainedModel
from agents.policies import BASELINES
from agents.spec import PRESETS, apply_overrides
from market.models import Series
from market.web.fields import MomentField
from market.web.ownership import visible


class SeriesChoice(forms.ModelChoiceField):
    """A stored series; says how much there is of it."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj} · {obj.rows:,} candles"


class TrainingForm(forms.Form):
    NAMES = {"from": "since", "to": "until", "set": "overrides"}  # the spec's names for our fields

    name = forms.CharField(max_length=120, help_text="The trained model gets this name.")
    series = SeriesChoice(queryset=Series.objects.none(), label="Candles")
    preset = forms.ChoiceField(
        choices=[(name, name) for name in PRESETS], help_text="Features, network and settings to start from."
    )
    steps = forms.IntegerField(
        min_value=1, initial=300_000, label="Environment steps", help_text="A few million for a serious run."
    )
    seed = forms.IntegerField(min_value=0, initial=1, help_text="Same seed, data and settings: same weights.")
    since = MomentField(required=False, label="Learn from (UTC)", help_text="Empty: the first candle.")
    until = MomentField(
        required=False, label="Learn until (UTC)", help_text="Keep later candles for an honest backtest."
    )
    overrides = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "placeholder": "ppo.lr=0.0003\nreward.kind=log_return"}),
        label="Other settings",
        help_text="One key=value per line; the same keys as `manage.py train --set`.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["series"].queryset = visible(Series, user).exclude(rows=0)  # type: ignore[attr-defined]

    def spec(self) -> dict[str, Any]:
        """Return the training spec of a valid form.

        :raises BadInput: when an override cannot be read.
        """
        given = self.cleaned_data
        spec = {
            **PRESETS[given["preset"]],
            "series": given["series"].pk,
            "pair": given["series"].pair,
            "interval": given["series"].interval,
            "steps": given["steps"],
            "seed": given["seed"],
            **{
                key: given[name]
                for key, name in (("from", "since"), ("to", "until"))
                if given[name] is not None
            },
        }
        lines = [line.strip() for line in given["overrides"].splitlines() if line.strip()]
        return apply_overrides(spec, lines)


def policy_choices(user: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return models and fixed rules as one grouped choice; values are `model:ID` and `baseline:NAME`."""
    models = visible(TrainedModel, user).exclude(status="archived").values_list("pk", "name")
    rules = [(f"baseline:{name}", name.replace("_", " ")) for name in BASELINES]
    return [("Trained models", [(f"model:{pk}", name) for pk, name in models]), ("Fixed rules", rules)]


class PolicyField(forms.ChoiceField):
    """Cleans to {"model": TrainedModel | None, "baseline": str}; lists only what the user may see."""

    def clean(self, value: Any) -> dict[str, Any]:
        kind, _, name = super().clean(value).partition(":")
        if kind == "model":
            return {"model": TrainedModel.objects.get(pk=int(name)), "baseline": ""}
        return {"model": None, "baseline": name}


class BacktestForm(forms.Form):
    policy = PolicyField(label="Model or fixed rule")
    series = SeriesChoice(queryset=Series.objects.none(), label="Candles")
    from_ms = MomentField(required=False, label="From (UTC)", help_text="Empty: the first candle.")
    to_ms = MomentField(
        required=False,
        label="To (UTC)",
        help_text="Empty: the last candle. Choose candles the model has not learned from.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["policy"].choices = policy_choices(user)  # type: ignore[attr-defined]
        self.fields["series"].queryset = visible(Series, user).exclude(rows=0)  # type: ignore[attr-defined]
