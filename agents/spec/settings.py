"""The settings of a spec one by one: kind, range, choices, meaning. Derived from the types of the spec."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from agents.envs.settings import TERMS
from agents.spec.algorithms import KNOWN, SECTIONS
from agents.spec.effect import is_idle
from agents.spec.team import SPECIALISTS
from agents.spec.training import TrainingSpec
from agents.spec.words import ALGORITHM, CHOICES, GROUPS, REST, WHEN, WORDS
from market.features import PRESETS as FEATURE_SETS
from market.plans import RANGES, WHOLE

GIVEN = ("version", "algorithm", "series", "source", "pair", "interval", "pairs", "basket", "from", "to",
         "steps", "seed")  # fmt: skip
OPEN_ENDED: dict[str, tuple[str, ...]] = {"features": tuple(FEATURE_SETS)}  # texts that name something
KEYS: dict[str, tuple[str, ...]] = {
    "reward.terms": TERMS,
    "team.weights": SPECIALISTS,
}  # of an object that holds weights by name
KINDS = {"integer": "whole", "number": "number", "string": "text"}
LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
LISTS = {"integer": "wholes", "number": "numbers", "string": "texts"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting that a person may choose.

    `kind` is choice, whole, number, text, or a list: wholes, numbers, texts. `low` and `high` are included.
    """

    name: str  # dotted, as the spec writes it
    group: str
    kind: str
    label: str
    about: str
    range: str  # what it may be, as a sentence
    default: Any
    choices: tuple[tuple[str, str], ...] = ()  # value, what it means
    low: float | None = None
    high: float | None = None
    when: str = ""  # "forecast.kind!=none": elsewhere it says nothing; "" always says something

    def says_something(self, values: Mapping[str, Any]) -> bool:
        """Say whether it matters beside the values chosen, by dotted name; `algorithm` is among them."""
        section = self.name.partition(".")[0]
        if section in SECTIONS:
            return section in KNOWN[str(values["algorithm"])].sections
        if is_idle(self.name, str(values["algorithm"])):
            return False
        if not self.when:
            return True
        other, wanted = self.when.replace("!=", "=!").split("=")
        return (str(values.get(other)) == wanted.removeprefix("!")) is not wanted.startswith("!")


@cache
def settings() -> dict[str, Setting]:
    """Return every setting by its dotted name, in the order of their groups.

    What no form can hold (a list of objects) is left out; files and `key=value` lines take it.
    """
    found = [made for name, row in _rows() if (made := _made(name, row)) is not None]
    titles = [title for title, _ in GROUPS]
    at = titles.index(ALGORITHM)
    for row in found:
        if row.group not in titles:
            is_own = row.name.partition(".")[0] in SECTIONS
            titles.insert(at if is_own else len(titles), row.group)
            at += is_own
    members = dict(GROUPS)
    return {
        row.name: row
        for row in sorted(found, key=lambda row: (titles.index(row.group), _place(row, members)))
    }


def flat(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec's values by dotted name."""
    found: dict[str, Any] = {}
    for name, value in spec.items():
        if not isinstance(value, Mapping):
            found[name] = value
            continue
        for leaf, inner in value.items():
            is_keyed = f"{name}.{leaf}" in KEYS and isinstance(inner, Mapping)
            found |= {f"{name}.{leaf}.{key}": one for key, one in inner.items()} if is_keyed else {}
            found[f"{name}.{leaf}"] = inner
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return chosen values as `over_preset` takes them: keyed ones as one object, the others dotted."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        owner, _, key = name.rpartition(".")
        if owner in KEYS:
            found.setdefault(owner, {})[key] = value
        else:
            found[name] = value
    return found


def _place(row: Setting, members: Mapping[str, tuple[str, ...]]) -> int:
    """Return where a setting stands within its group; what is not named there comes last."""
    names = members.get(row.group, ())
    return next((at for at, one in enumerate(names) if _is_member(row.name, one)), len(names))


def _is_member(name: str, one: str) -> bool:
    return name == one or (one[-1] in "._" and name.startswith(one))


def _rows() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (dotted name, JSON schema) of what stands in a spec."""
    schema = TrainingSpec.model_json_schema(by_alias=True)
    for name, row in schema["properties"].items():
        if "$ref" not in row:
            if name not in GIVEN:
                yield name, row
            continue
        for leaf, inner in schema["$defs"][row["$ref"].rpartition("/")[2]]["properties"].items():
            full = f"{name}.{leaf}"
            for key in KEYS.get(full, ()):
                yield f"{full}.{key}", {**inner["additionalProperties"], "default": None}
            if full not in KEYS:
                yield full, inner


def _made(name: str, row: Mapping[str, Any]) -> Setting | None:
    ways = [way for way in row.get("anyOf", [row]) if way.get("type") != "null"]
    leaf = name.rpartition(".")[2]
    label, about = WORDS.get(name) or WORDS.get(leaf) or (leaf.replace("_", " ").capitalize(), "")
    given = {"name": name, "group": _group(name), "label": label, "about": about, "default": row["default"],
             "when": WHEN.get(name, "")}  # fmt: skip
    names = ways[0].get("enum") or OPEN_ENDED.get(name)
    if names:
        words = CHOICES.get(name, {})
        return Setting(
            kind="choice", range="", choices=tuple((one, words.get(one, "")) for one in names), **given
        )
    if len(ways) > 1:
        ranges = [f'"{way["const"]}"' if "const" in way else _range(way) for way in ways]
        return Setting(kind="text", range=" or ".join(ranges), **given)
    way = ways[0]
    empty = ", or empty" if len(row.get("anyOf", ())) > 1 else ""
    if way.get("type") == "array" and way["items"].get("type") in LISTS:
        return Setting(kind=LISTS[way["items"]["type"]], range=_list_range(way) + empty, **given)
    if way.get("type") not in KINDS:
        return None
    limits = {"low": way.get("minimum"), "high": way.get("maximum")}
    kind, said = KINDS[way["type"]], _range(way)
    if name.startswith("trading.") and leaf in RANGES:
        limits, said = {"low": RANGES[leaf].low, "high": RANGES[leaf].high}, RANGES[leaf].words
        kind = "whole" if leaf in WHOLE else kind
    return Setting(kind=kind, range=said + empty, **limits, **given)


def _group(name: str) -> str:
    """Return the title of the group that a setting belongs to."""
    section, dot, _ = name.partition(".")
    if section in SECTIONS:
        owners = [known.title for known in KNOWN.values() if section in known.sections]
        return " · ".join(dict.fromkeys(owners)) if len(owners) < 3 else section.upper()
    for title, members in GROUPS:
        if any(_is_member(name, one) for one in members):
            return title
    return section.replace("_", " ").capitalize() if dot else REST


def _range(way: Mapping[str, Any]) -> str:
    """Return what a number may be, in words."""
    end = _end(way)
    if "exclusiveMinimum" in way:
        return f"above {_number(way['exclusiveMinimum'])}" + (f" and {end}" if end else "")
    if "minimum" not in way:
        return end or ("a text" if way.get("type") == "string" else "any number")
    low = _number(way["minimum"])
    return f"from {low} to {end.removeprefix('at most ')}" if end else f"at least {low}"


def _end(way: Mapping[str, Any]) -> str:
    if "maximum" in way:
        return f"at most {_number(way['maximum'])}"
    return f"below {_number(way['exclusiveMaximum'])}" if "exclusiveMaximum" in way else ""


def _list_range(way: Mapping[str, Any]) -> str:
    items, least, most = way["items"], way.get("minItems", 0), way.get("maxItems")
    count = "" if most is None else f"{least} to {most} " if least else f"at most {most} "
    what = {"integer": "whole numbers", "number": "numbers", "string": "names"}[items["type"]]
    each = f" {_range(items)}" if LIMITS & set(items) else ""
    return f"{count}{what}{each}, with commas between"


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"
