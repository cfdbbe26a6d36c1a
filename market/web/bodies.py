"""Bodies of requests: a field that nobody knows is an error, not a wish that goes unheard."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rest_framework import serializers
from rest_framework.renderers import JSONRenderer

FIXED = "This cannot be changed here: leave it out, or send it as it was read."


class Strict:
    """Mixed into a serializer of a request: whoever writes `capitol` is told so, instead of trading with all.

    Of a change, what was read may come back: what is equal to it is left out, as nothing is to be done about
    it, and what differs although the request cannot change it is an error.
    """

    moving: tuple[str, ...] = ()  # what moves by itself since it was read: it may come back as it was

    def shown(self) -> Mapping[str, Any]:
        """Return the object that is changed as it is read; nothing where there is none."""
        return {} if self.instance is None else self.to_representation(self.instance)  # type: ignore[attr-defined]

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            fields: Mapping[str, serializers.Field] = self.fields  # type: ignore[attr-defined]
            read = json.loads(JSONRenderer().render(self.shown()))
            known = [*fields, *(name for name in read if name not in fields)]
            fixed = {name for name in read if name not in fields or fields[name].read_only}
            wrong = {str(name): [_said(str(name), known)] for name in data if name not in known}
            same = {name for name in data if name in read and data[name] == read[name]}
            wrong |= {name: [FIXED] for name in data if name in fixed - same - {*self.moving}}
            if wrong:
                raise serializers.ValidationError(wrong)
            if gone := same | (fixed & {*data}):
                data = data.copy()  # type: ignore[attr-defined]
                for name in gone:
                    del data[name]
        return super().to_internal_value(data)  # type: ignore[misc]


def _said(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"There is no field {name!r}: " + (f"did you mean {near[0]!r}?" if near else "leave it out.")


class Body(Strict, serializers.Serializer):
    """What a request holds."""


class Change(Body):
    """What a request changes of an object that is read by another serializer."""

    reader: type[serializers.Serializer]

    def shown(self) -> Mapping[str, Any]:
        return {} if self.instance is None else self.reader(self.instance).data
