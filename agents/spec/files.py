"""Specs as files: YAML or JSON, one laid over another with `extends`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from agents.spec.overrides import laid_over
from agents.spec.presets import PRESETS
from agents.spec.versions import upgraded
from market.errors import BadInput

MOST_BYTES = 256 * 1024
MOST_FILES = 16  # that extend each other
ELSEWHERE = ("series", "basket")  # a row's id means nothing in another database


class _Loader(yaml.SafeLoader):
    """Plain values only: no aliases, which can blow a small file up, and no key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise BadInput("write every value out: aliases (*name) are not read", "spec")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise BadInput(f"every key must be a text, not {key!r}", "spec")
            if key in found:
                raise BadInput(f"{key}: is there twice", key)
            found.add(key)
        return super().construct_mapping(node, deep=deep)


def read_text(text: str | bytes, name: str = "the spec") -> dict[str, Any]:
    """Return the settings that a YAML or JSON text holds.

    :param name: of the file, for messages
    :raises BadInput: naming the line or key that cannot be read
    """
    if len(text) > MOST_BYTES:
        raise BadInput(f"{name} is larger than {MOST_BYTES // 1024} KiB: that is no training spec", "spec")
    try:
        found = _parsed(text)
    except BadInput as error:
        raise BadInput(f"{name}: {error.message}", error.field) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or "it holds characters that are no text"
        raise BadInput(f"{name} is neither YAML nor JSON: {said}{where}", "spec") from None
    except (RecursionError, UnicodeDecodeError, ValueError):
        raise BadInput(f"{name} is neither YAML nor JSON that holds settings", "spec") from None
    if not isinstance(found, dict):
        raise BadInput(f"{name} must hold settings, one `key: value` per line", "spec")
    return upgraded(found)


def _parsed(text: str | bytes) -> Any:
    """Return what the text says; JSON first, because YAML takes 1e-4 for a text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 a safe loader, and stricter


def read_file(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return a file's settings laid over those of the files it extends.

    `extends: other.yaml` is looked for beside the file; the name of a preset stays in the result, for
    `over_preset` to resolve.

    :raises BadInput: for a file that cannot be read, or that extends itself
    """
    path = path.resolve()
    if path in above or len(above) >= MOST_FILES:
        raise BadInput(f"extends: {path.name} extends itself in the end", "extends")
    try:
        with path.open("rb") as file:
            values = read_text(file.read(MOST_BYTES + 1), path.name)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", "spec") from None
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise BadInput(f"{path.name}: extends must be the name of a preset or a file", "extends")
    if base in PRESETS:
        return {"extends": base, **values}
    if not (path.parent / base).is_file():
        known = ", ".join(PRESETS)
        raise BadInput(f"{path.name}: extends {base!r}, which is no preset ({known}) and no file", "extends")
    return laid_over(read_file(path.parent / base, (*above, path)), values)


def written(spec: Mapping[str, Any], kind: str = "yaml") -> str:
    """Return a spec as a file that `read_file` takes anywhere: its series is named by pair and source.

    :param kind: yaml or json
    """
    portable = {key: value for key, value in spec.items() if key not in ELSEWHERE and value is not None}
    if kind == "json":
        return orjson.dumps(portable, option=orjson.OPT_INDENT_2).decode() + "\n"
    return yaml.safe_dump(portable, sort_keys=False, allow_unicode=True)
