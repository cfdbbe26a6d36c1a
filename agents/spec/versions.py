"""Specs of earlier versions, brought up to the present one: a stored run keeps its meaning."""

from collections.abc import Callable, Mapping
from typing import Any

from market.errors import BadInput

CURRENT = 2


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as the present version writes them; without `version` they are of the present one.

    :raises BadInput: for a version that this program does not know
    """
    version = values.get("version", CURRENT)
    if type(version) is not int or not 1 <= version <= CURRENT:
        raise BadInput(
            f"version: this program reads specs of the versions 1 to {CURRENT}, not {version!r}", "version"
        )
    found = dict(values)
    for step in STEPS[version - 1 :]:
        found = step(found)
    return {**found, "version": CURRENT} if "version" in values else found


def _without_test_part(values: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew no test part: all bars behind the gap judged."""
    return {"test_share": 0.0, **values}


STEPS: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (_without_test_part,)
