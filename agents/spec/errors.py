"""What pydantic objects to, as one sentence for people."""

from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import ValidationError

from market.errors import BadInput


class Misfit(ValueError):
    """Settings of one section that do not fit together; `field` is the one to change, by its last part."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def first_error(error: ValidationError, names: Mapping[str, str]) -> BadInput:
    """Return the first thing pydantic objects to, as one sentence that names the field.

    :param names: of the settings that there are, dotted to last part, to suggest one for an unknown key
    """
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
    where = ".".join(part for part in where.split(".") if part not in ("str", "dict[str,any]"))
    if first["type"] == "extra_forbidden":
        return BadInput(unknown_setting(where, names), where)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, BadInput):
        return cause
    if isinstance(cause, Misfit):
        where = ".".join(filter(None, (where, cause.field)))
    said = str(cause) if isinstance(cause, ValueError) else first["msg"][:1].lower() + first["msg"][1:]
    if not where:
        return BadInput(said)
    given = "" if isinstance(first.get("input"), dict) else f" (got {first.get('input')!r})"
    return BadInput(said if cause else f"{where}: {said}{given}", where)


def unknown_setting(key: str, names: Mapping[str, str]) -> str:
    """Return the sentence for a key that no spec has, with the nearest name that it has."""
    near = get_close_matches(key, [*names, *names.values()], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no training setting {key!r}{hint}"
