"""Settings laid over a preset: what a person chose, key by key."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from agents.spaces import WEIGHTS
from agents.spec.algorithms import ALGORITHMS, KNOWN, SECTIONS, sections_of
from agents.spec.effect import is_idle
from agents.spec.errors import unknown_setting
from agents.spec.presets import PRESETS
from agents.spec.training import TrainingSpec, setting_names
from agents.spec.versions import upgraded
from market.errors import BadInput


def over_preset(name: str, chosen: Mapping[str, Any], pairs: Sequence[str] = ()) -> dict[str, Any]:
    """Return the spec that a preset, what a person chose, and `key=value` settings make, in that order.

    A section keeps what nobody chose: `{"ppo": {"lr": 1e-4}}` changes the preset's learning rate only. A key
    of `chosen` may be dotted or short, as in `apply_overrides`. A series says its own interval. `extends` in
    `chosen` names the preset as well.

    A preset holds for every algorithm: where it names another one's settings its horizon (gamma) is kept, and
    where nobody chose a kind of action that the algorithm cannot learn, one that it can takes its place.

    :param name: of the preset; "" starts from the defaults.
    :raises BadInput: for a preset or key that there is not, or two presets.
    """
    chosen = upgraded(chosen)
    base = chosen.pop("extends", None) or name
    if name and base != name:
        raise BadInput(f"the spec extends {base!r}: leave the preset {name!r} out", "preset")
    name = base
    if name and (not isinstance(name, str) or name not in PRESETS):
        raise BadInput(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}", "preset")
    spec = dict(PRESETS.get(name, {}))
    given = {**chosen, **key_values(pairs)}
    if "series" in given or "basket" in given:
        spec.pop("interval", None)
    if "pairs" in given or "basket" in given:
        is_portfolio = bool(given.get("pairs") or given.get("basket"))
        spec = {**spec, "pairs": (), "action": _action(spec, is_portfolio)}
    algorithm = given.get("algorithm", spec.get("algorithm", "ppo"))
    return apply_overrides(laid_over(suited(spec, algorithm, given), chosen), pairs)


def suited(spec: Mapping[str, Any], algorithm: Any, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preset, or what several runs share, as this algorithm can take it.

    :param chosen: what people chose beside it: a kind of action among that stays as it is
    """
    if algorithm not in ALGORITHMS:
        return dict(spec)
    spec = {**spec, "algorithm": algorithm}
    known = KNOWN[algorithm]
    own, others = known.sections[0], SECTIONS - set(known.sections)
    fitting = {name: _read(name, value, algorithm) for name, value in spec.items() if name not in others}
    fitting = {name: value for name, value in fitting.items() if not is_idle(name, algorithm)}
    horizons = [spec[name]["gamma"] for name in sorted(others) if "gamma" in spec.get(name, {})]
    if horizons:
        fitting[own] = {"gamma": horizons[0], **fitting.get(own, {})}
    action = chosen.get("action", {})
    has_kind = "action.kind" in chosen or not isinstance(action, Mapping) or "kind" in action
    if not has_kind and fitting.get("action", {}).get("kind", "hold_buy_sell") not in known.actions:
        fitting["action"] = {"kind": known.actions[0]}
    return fitting


def _read(name: str, value: Any, algorithm: str) -> Any:
    """Return a section without what the algorithm never reads."""
    if not isinstance(value, Mapping):
        return value
    return {leaf: one for leaf, one in value.items() if not is_idle(f"{name}.{leaf}", algorithm)}


def _action(spec: Mapping[str, Any], is_portfolio: bool) -> dict[str, Any]:
    """Return the action of a preset for those who name several pairs, or say that they want none."""
    action = dict(spec.get("action", {}))
    if (action.get("kind") == WEIGHTS) is is_portfolio:
        return action
    return {"kind": WEIGHTS} if is_portfolio else {}


def laid_over(spec: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others laid over them, section by section.

    A kind of reward, or a penalty, takes the place of terms that lie below.

    :raises BadInput: for a key of `chosen` that no spec has
    """
    changed: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in spec.items()}
    algorithm = chosen.get("algorithm", spec.get("algorithm", "ppo"))
    if isinstance(changed.get("reward"), dict) and _has_own_kind(chosen, algorithm):
        changed["reward"].pop("terms", None)
    sections = {full.partition(".")[0] for full in setting_names(TrainingSpec) if "." in full}
    for key, value in chosen.items():
        section, _, leaf = full_name(key, algorithm).rpartition(".")
        if section:
            _section(changed, section, key)[leaf] = value
        elif leaf in sections and isinstance(value, Mapping):
            _section(changed, leaf, key).update(value)
        else:
            changed[leaf] = value
    return changed


def _has_own_kind(chosen: Mapping[str, Any], algorithm: Any) -> bool:
    """Say whether somebody chose a kind of reward, or a penalty, and no terms."""
    names = {name for key, value in chosen.items() for name in _leaves(key, value, algorithm)}
    return bool(names & {"reward.kind", "reward.drawdown_penalty"}) and "reward.terms" not in names


def _leaves(key: str, value: Any, algorithm: Any) -> set[str]:
    """Return the dotted names of the settings that a key and its value choose."""
    full = full_name(key, algorithm)
    return {f"{full}.{leaf}" for leaf in value} if isinstance(value, Mapping) else {full}


def _section(spec: dict[str, Any], name: str, key: str) -> dict[str, Any]:
    inner = spec.setdefault(name, {})
    if not isinstance(inner, dict):
        raise BadInput(f"{name} must be an object before {key} can be set", "set")
    return inner


def apply_overrides(values: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """Return a spec with `key=value` settings laid over it.

    A key is dotted (`ppo.lr=1e-4`), or its last part where that is unambiguous among the algorithm's settings
    (`lr=1e-4`). A value is JSON, or else text.

    :raises BadInput: for a pair without `=`, a key that no spec has, or a setting that is there twice
    """
    given = key_values(pairs)
    algorithm = given.get("algorithm", values.get("algorithm", "ppo"))
    names: dict[str, str] = {}
    for key, value in given.items():
        for name in sorted(_leaves(key, value, algorithm)):
            other = names.setdefault(name, key)
            if other != key:
                raise BadInput(f"{other} and {key} give {name} twice: leave one of them out", "set")
    return laid_over(values, given)


def key_values(pairs: Sequence[str]) -> dict[str, Any]:
    """Return `key=value` texts as a dict; a value is JSON, or else text.

    :raises BadInput: without `=`, or for a key that is there twice
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise BadInput(f"{pair!r} must have the form key=value", "set")
        key = key.strip()
        if key in found:
            raise BadInput(f"{key} is there twice: leave one of them out", "set")
        try:
            found[key] = orjson.loads(text)
        except orjson.JSONDecodeError:
            found[key] = text
    return found


def full_name(key: str, algorithm: Any) -> str:
    """Return the dotted name of a setting that may be short. :raises BadInput: where that is not clear"""
    names = setting_names(TrainingSpec)
    if key in names:
        return key
    fitting = [full for full, leaf in names.items() if leaf == key]
    others = SECTIONS - set(sections_of(algorithm))
    fitting = [full for full in fitting if full.partition(".")[0] not in others] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise BadInput(f"{key!r} could mean {' or '.join(fitting)}: write it out", "set")
    raise BadInput(unknown_setting(key, names), "set")
