"""A form whose fields are the settings of a training spec, filled by a preset."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from agents.envs.settings import TERMS
from agents.setting_fields import MIX, WEIGHTS, field_of, is_same, matters, shown
from agents.spec import ALGORITHMS, PRESETS, TrainingSpec, over_preset
from agents.spec.algorithms import can_weigh
from agents.spec.parts import Reward
from agents.spec.settings import KEYS, flat, nested, settings
from agents.spec.words import WHEN
from market.errors import BadInput

ASKS = {
    "preset",
    "algorithm",
    "reward.kind",
    *(rule.replace("!", "").partition("=")[0] for rule in WHEN.values()),
}
# The form element says where the answer goes. A choice made while another is on its way takes its place: the
# answer to the first would put the second choice back.
REFILL = {"hx-post": "", "hx-vals": '{"show": "1"}', "hx-sync": "closest form:replace"}


def filling(preset: str, algorithm: str) -> dict[str, str]:
    """Return what a preset fills the fields with, for an algorithm, as texts by dotted name."""
    chosen: dict[str, Any] = {"algorithm": algorithm}
    if not can_weigh(algorithm):
        chosen["pairs"] = ()  # a preset of several pairs fills the form for one; starting it says what to do
    values = flat(TrainingSpec.parse(over_preset(preset, chosen)).as_dict())
    kind = {"reward.kind": MIX} if values["reward.terms"] else {}
    names = (*settings(), "algorithm", "steps")
    return {name: shown(values.get(name)) for name in names} | kind


class SettingsForm(forms.Form):
    """Adds the settings to the fields `preset` and `algorithm` of its subclasses.

    The fields hold what the preset says; `basis` remembers which one filled them. What differs from that is
    what a person chose, and stays when another preset or algorithm is taken. Fields that would say nothing
    beside what is chosen are not there. An empty field, or one that was not sent, is what the preset says.

    `whole` makes one that shows every setting, empty.
    """

    is_whole = False

    basis = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given: Any = self.data if self.is_bound else self.initial
        preset = _known(given.get("preset"), list(PRESETS))
        own = PRESETS[preset].get("algorithm", "ppo")
        algorithm = _known(
            None if self._follows(given, preset) else given.get("algorithm"), [own, *ALGORITHMS]
        )
        before = _before(given)
        texts = {name: str(given.get(name) or "").strip() for name in settings()}
        self._changed = {n: text for n, text in texts.items() if text and not is_same(text, before.get(n))}
        if self.is_whole:
            return
        filled = filling(preset, algorithm)
        present = filled | self._changed
        for name, setting in settings().items():
            if matters(setting, present):
                self.fields[name] = field_of(setting)
                if not self.is_bound:
                    self.initial[name] = present[name]
        if not self.is_bound:
            self.initial.update(preset=preset, algorithm=algorithm, basis=f"{preset}/{algorithm}")
            steps = str(given.get("steps") or "")
            if not steps or is_same(steps, before.get("steps")):
                self.initial["steps"] = filled["steps"]
        for name in ASKS & set(self.fields):
            self.fields[name].widget.attrs |= REFILL

    def _follows(self, given: Mapping[str, Any], preset: str) -> bool:
        """Say whether another preset was taken and brings its algorithm: nobody had chosen one."""
        before, _, algorithm = str(given.get("basis") or "").partition("/")
        was_own = before in PRESETS and PRESETS[before].get("algorithm", "ppo") == algorithm
        is_kept = was_own and given.get("algorithm") == algorithm
        return not self.is_bound and is_kept and before != preset

    @property
    def basics(self) -> list[BoundField]:
        """Return the fields that are no settings, without the hidden one."""
        return [field for field in self.visible_fields() if field.name not in settings()]

    @property
    def groups(self) -> list[dict[str, Any]]:
        """Return the settings shown as groups: title, fields, how many were changed, whether one is wrong."""
        rows: dict[str, list[BoundField]] = {}
        for name, setting in settings().items():
            if name in self.fields:
                rows.setdefault(setting.group, []).append(self[name])
        return [
            {
                "title": title,
                "fields": fields,
                "changed": sum(field.name in self._changed for field in fields),
                "is_wrong": any(field.name in self.errors for field in fields) if self.is_bound else False,
            }
            for title, fields in rows.items()
        ]

    def chosen_settings(self) -> dict[str, Any]:
        """Return what a person chose of the settings of a valid form, as `over_preset` takes it.

        :raises BadInput: for a reward of several terms without a weight
        """
        given = {name: self.cleaned_data.get(name) for name in settings() if name in self.fields}
        weights = {
            name: value for name, value in given.items() if name.startswith(WEIGHTS) and value is not None
        }
        found = {
            name: given[name]
            for name in self._changed
            if given.get(name) is not None and not name.startswith(WEIGHTS)
        }
        for owner in KEYS:  # weights make sense together: one that was changed brings the others
            if any(name.startswith(f"{owner}.") for name in found):
                found |= {n: v for n, v in given.items() if n.startswith(f"{owner}.") and v is not None}
        kind = given.get("reward.kind")
        if kind == MIX or (weights and not kind):
            if not any(weights.values()):
                raise BadInput("a reward with weights of your own needs one above 0", f"{WEIGHTS}{TERMS[0]}")
            found |= {"reward.kind": Reward().kind, "reward.drawdown_penalty": 0.0, **weights}
        elif "reward.kind" in found:
            found["reward.terms"] = {}
        return nested(found)


def whole(form: Any) -> Any:
    """Return the form with a field for every setting, all empty: for pages that cannot be filled anew."""
    fields = {name: field_of(setting, is_first_empty=True) for name, setting in settings().items()}
    return type(form)(form.__name__, (form,), {**fields, "basis": None, "is_whole": True})


def _before(given: Mapping[str, Any]) -> dict[str, str]:
    """Return what had filled the fields that were sent; nothing where nothing had."""
    preset, _, algorithm = str(given.get("basis") or "").partition("/")
    return filling(preset, algorithm) if preset in PRESETS and algorithm in ALGORITHMS else {}


def _known(value: Any, names: list[str]) -> str:
    return value if value in names else names[0]
