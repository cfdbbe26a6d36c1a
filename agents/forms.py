"""Forms about learning."""

from collections.abc import Mapping
from typing import Any

from django import forms

from agents import selectors
from agents.models import Council, TrainedModel
from agents.policies import BASELINES
from agents.policies.council import COMBINES, METHODS
from agents.services import Seat, read_card, seed_list
from agents.services.cards import MOST_BYTES as CARD_BYTES
from agents.services.experiments import grid_of
from agents.settings_form import SettingsForm
from agents.spec import KNOWN, PRESETS, key_values, over_preset, read_text
from agents.spec.files import MOST_BYTES
from market.errors import BadInput
from market.models import Series
from market.web.fields import MomentField
from market.web.ownership import visible


class SeriesChoice(forms.ModelChoiceField):
    """A stored series; says how much there is of it."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj} · {obj.rows:,} candles"


class SeveralSeries(forms.ModelMultipleChoiceField):
    """Stored series; says how much there is of each."""

    label_from_instance = SeriesChoice.label_from_instance

    def clean(self, value: Any) -> Any:
        return super().clean([one for one in value or () if one])


class TrainingForm(SettingsForm):
    NAMES = {"from": "since", "to": "until", "set": "overrides", "pairs": "others", "basket": "others"}

    name = forms.CharField(max_length=120, help_text="The trained model gets this name.")
    series = SeriesChoice(queryset=Series.objects.none(), label="Candles")
    others = SeveralSeries(
        queryset=Series.objects.none(),
        required=False,
        label="Further pairs",
        help_text="A portfolio: one account over the candles above and these, shared out by weights.",
        widget=forms.SelectMultiple(attrs={"size": 4}),
    )
    preset = forms.ChoiceField(
        choices=[(name, name) for name in PRESETS],
        help_text="Settings to start from; what you change below wins.",
    )
    algorithm = forms.ChoiceField(
        choices=[
            ("", "As the preset says, or PPO"),
            *((name, f"{known.title}: {known.about}") for name, known in KNOWN.items()),
        ],
        required=False,
        help_text="DQN, its kin and tables take discrete actions; SAC, TD3 and TQC continuous ones.",
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
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "ppo.lr=0.0003"}),
        label="As lines",
        help_text="What has no field: one key=value per line, the keys of manage.py train --set. Lines win.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("series", "others"):
            self.fields[name].queryset = rows = visible(Series, user).exclude(rows=0)  # type: ignore[attr-defined]
        first = list(rows[:2])
        if len(first) == 1:
            self.initial.setdefault("series", first[0].pk)

    def spec(self) -> dict[str, Any]:
        """Return the training spec of a valid form.

        :raises BadInput: when an override cannot be read.
        """
        given = self.cleaned_data
        series = given["series"]
        chosen = {
            "series": series.pk,
            "pair": series.pair,
            "interval": series.interval,
            "steps": given["steps"],
            **({"seed": given["seed"]} if "seed" in given else {}),
        }
        chosen |= self._portfolio(series)
        if given["algorithm"]:
            chosen["algorithm"] = given["algorithm"]
        times = {"from": given["since"], "to": given["until"]}
        chosen |= {key: value for key, value in times.items() if value is not None}
        lines = lines_of(given["overrides"])
        return over_preset(given["preset"], {**chosen, **self.chosen_settings()}, lines)

    def _portfolio(self, series: Series) -> dict[str, Any]:
        """Return what names the candles of several pairs; nothing of one."""
        members = [series, *(one for one in self.cleaned_data["others"] if one != series)]
        if len(members) > 1:
            return {"pairs": [one.pair for one in members], "basket": [one.pk for one in members]}
        if PRESETS[self.cleaned_data["preset"]].get("pairs"):
            raise BadInput("this preset shares an account out: choose the further pairs", "pairs")
        return {}


class SpecFileForm(forms.Form):
    """Training by a spec file: what it says counts, unless a field here is filled in."""

    NAMES = {"pair": "series", "interval": "series", "source": "series"}

    name = forms.CharField(max_length=120, help_text="The trained model gets this name.")
    spec = forms.FileField(
        label="Spec file",
        help_text="YAML or JSON, as `Export settings` of a run writes it; may extend a preset.",
    )
    series = SeriesChoice(
        queryset=Series.objects.none(), label="Candles", required=False, help_text="Empty: as the file says."
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["series"].queryset = visible(Series, user).exclude(rows=0)  # type: ignore[attr-defined]

    def chosen(self) -> dict[str, Any]:
        """Return the training spec of a valid form. :raises BadInput: for a file that cannot be used"""
        given = self.cleaned_data
        values = read_text(given["spec"].read(MOST_BYTES + 1), given["spec"].name)
        if given["series"]:
            if values.get("pairs"):
                raise BadInput("the file names several pairs, which one series cannot stand for", "series")
            for key in ("source", "pair", "interval"):
                values.pop(key, None)
            values["series"] = given["series"].pk
        return over_preset("", values)


class ExperimentForm(TrainingForm):
    """Many runs as one job: the settings of a run, and what varies."""

    NAMES = {**TrainingForm.NAMES, "seed": "seeds"}

    seed = None  # type: ignore[assignment]  # Django takes the field away so
    seeds = forms.CharField(initial="0..4", max_length=200, help_text="0..4, or 1,2,7: one run each.")
    windows = forms.IntegerField(
        min_value=1, max_value=100, initial=1, label="Walk-forward windows",
        help_text="Stretches of equal length; what one is judged on, the next one learns from.",
    )  # fmt: skip
    grid = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3, "placeholder": "ppo.lr=0.0001,0.0003"}),
        label="Settings to vary", help_text="One key=value,value per line: every combination is trained.",
    )  # fmt: skip

    def plan(self) -> dict[str, Any]:
        """Return seeds, grid and windows of a valid form. :raises BadInput: for what cannot be read"""
        given = self.cleaned_data
        lines = lines_of(given["grid"])
        return {"seeds": seed_list(given["seeds"]), "grid": grid_of(lines), "windows": given["windows"]}


class CardForm(forms.Form):
    card = forms.FileField(label="Run card", help_text="The JSON file that `Export card` of a model writes.")
    series = SeriesChoice(
        queryset=Series.objects.none(), label="Candles", required=False, help_text="Empty: as the card says."
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["series"].queryset = visible(Series, user).exclude(rows=0)  # type: ignore[attr-defined]

    def source(self) -> dict[str, Any]:
        """Return what `reproduce` takes. :raises BadInput: for a file that is no card"""
        given = self.cleaned_data
        series = given["series"].pk if given["series"] else None
        return {"card": read_card(given["card"].read(CARD_BYTES + 1)), "series": series}


class OpenTestForm(forms.Form):
    reason = forms.CharField(
        max_length=500, label="Why now?", widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept with your name; every later result says how often the test part was opened.",
    )  # fmt: skip


def member_choices(user: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return models and fixed rules as one grouped choice; values are `model:ID` and `baseline:NAME`."""
    models = visible(TrainedModel, user).exclude(status="archived").values_list("pk", "name")
    rules = [(f"baseline:{name}", name.replace("_", " ")) for name in BASELINES]
    return [("Trained models", [(f"model:{pk}", name) for pk, name in models]), ("Fixed rules", rules)]


def policy_choices(user: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what can decide: `member_choices`, and councils as `council:ID`."""
    rows = selectors.councils(user).values_list("pk", "name")
    return [*member_choices(user), ("Councils", [(f"council:{pk}", name) for pk, name in rows])]


class PolicyField(forms.ChoiceField):
    """Cleans to {"model", "baseline", "council"}, one of them given; lists only what the user may see."""

    def clean(self, value: Any) -> dict[str, Any]:
        return chosen(super().clean(value))


def chosen(value: str) -> dict[str, Any]:
    """Return the policy that a value of `policy_choices` stands for."""
    kind, _, name = value.partition(":")
    found: dict[str, Any] = {"model": None, "baseline": "", "council": None}
    if kind == "model":
        return found | {"model": TrainedModel.objects.get(pk=int(name))}
    if kind == "council":
        return found | {"council": Council.objects.get(pk=int(name))}
    return found | {"baseline": name}


class BacktestForm(forms.Form):
    policy = PolicyField(label="Model, fixed rule or council")
    series = SeriesChoice(queryset=Series.objects.none(), label="Candles")
    from_ms = MomentField(required=False, label="From (UTC)", help_text="Empty: the first candle.")
    to_ms = MomentField(
        required=False,
        label="To (UTC)",
        help_text="Empty: the last candle. Choose candles the model has not learned from.",
    )
    settings = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "fee_rate=0.002\nmax_position=5000"}),
        help_text="One key=value per line, the keys of manage.py backtest --set: costs, sizes, "
        "exits, limits, decision. Empty: what the model has learned under.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["policy"].choices = policy_choices(user)  # type: ignore[attr-defined]
        self.fields["series"].queryset = visible(Series, user).exclude(rows=0)  # type: ignore[attr-defined]

    def clean_settings(self) -> dict[str, Any]:
        try:
            return key_values(lines_of(self.cleaned_data["settings"]))
        except BadInput as error:
            raise forms.ValidationError(error.message) from None


def lines_of(text: str) -> list[str]:
    """Return the lines of a text that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def explained(choices: Mapping[str, str]) -> str:
    """Return one sentence per choice."""
    return " ".join(f"{name.capitalize()}: {about[0].lower()}{about[1:]}." for name, about in choices.items())


class CouncilForm(forms.Form):
    name = forms.CharField(max_length=100)
    members = forms.MultipleChoiceField(
        widget=forms.SelectMultiple(attrs={"size": 9}),
        help_text="Several: models that learned on the same bars, and fixed rules.",
    )
    method = forms.ChoiceField(
        choices=[(name, name) for name in METHODS], initial="majority", help_text=explained(METHODS)
    )
    combine = forms.ChoiceField(
        choices=[(name, name) for name in COMBINES],
        initial="votes",
        label="What counts",
        help_text=explained(COMBINES),
    )
    quorum = forms.IntegerField(
        min_value=1, required=False, help_text="Members that must be able to vote. Empty: over half."
    )
    weights = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "my model=1.5\nsma_crossover=0.5"}),
        help_text="One name=weight per line. Where weights count, a model without one has its Sharpe.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["members"].choices = member_choices(user)  # type: ignore[attr-defined]

    def seats(self) -> list[Seat]:
        """Return the members of a valid form.

        :raises BadInput: for a weight that is no number or belongs to nobody chosen
        """
        weights = _weights(lines_of(self.cleaned_data["weights"]))
        seats = []
        for value in self.cleaned_data["members"]:
            policy = chosen(value)
            name = policy["model"].name if policy["model"] else policy["baseline"]
            seats.append(
                Seat(model=policy["model"], baseline=policy["baseline"], weight=weights.pop(name, None))
            )
        if weights:
            raise BadInput(f"{next(iter(weights))!r} is no member that was chosen", "weights")
        return seats


def _weights(lines: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, weight in key_values(lines).items():
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise BadInput(f"the weight of {name} must be a number, not {weight!r}", "weights")
        found[name] = float(weight)
    return found


class ReviewForm(forms.Form):
    council = forms.ModelChoiceField(queryset=Council.objects.none())
    series = SeriesChoice(queryset=Series.objects.none(), label="Candles")
    from_ms = MomentField(required=False, label="From (UTC)", help_text="Empty: the first candle.")
    to_ms = MomentField(
        required=False,
        label="To (UTC)",
        help_text="Empty: the last candle. Choose candles the models have not learned from.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["council"].queryset = selectors.councils(user)  # type: ignore[attr-defined]
        self.fields["series"].queryset = visible(Series, user).exclude(rows=0)  # type: ignore[attr-defined]
