"""Bodies of requests: a field that nobody knows is an error, not a wish that goes unheard."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rest_framework import serializers


class Strict:
    """Mixed into a serializer of a request: whoever writes `capitol` is told so, instead of trading with all.

    Where the serializer has fields that are only read, those may come back, so that what was read can be
    changed and sent.
    """

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known: list[str] = list(self.fields)  # type: ignore[attr-defined]
            if unknown := [name for name in data if name not in known]:
                raise serializers.ValidationError({str(name): [_said(str(name), known)] for name in unknown})
        return super().to_internal_value(data)  # type: ignore[misc]


def _said(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"There is no field {name!r}: " + (f"did you mean {near[0]!r}?" if near else "leave it out.")


class Body(Strict, serializers.Serializer):
    """What a request holds."""
