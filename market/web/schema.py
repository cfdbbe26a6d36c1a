"""Pieces of the OpenAPI description that several endpoints share."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers


class ProblemSerializer(serializers.Serializer):
    """RFC 9457 problem details; `errors` maps a field to its sentences."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField()
    errors = serializers.DictField(child=serializers.ListField(child=serializers.CharField()), required=False)


PROBLEMS: dict[Any, Any] = {
    (code, "application/problem+json"): OpenApiResponse(ProblemSerializer, description=text)
    for code, text in {
        400: "Input that cannot be used, with a sentence per field",
        401: "No or no valid token",
        403: "Role too low",
        404: "No such object, or not yours",
        409: "The present state forbids it",
        429: "Too many requests",
    }.items()
}
READ_PROBLEMS = {key: value for key, value in PROBLEMS.items() if key[0] != 409}


def answers(code: int, serializer: Any, **more: Any) -> dict[Any, Any]:
    """Return the responses of an operation: its own and every problem."""
    return {code: serializer, **PROBLEMS, **more}


def example(name: str, value: dict[str, Any]) -> OpenApiExample:
    """Return the example of a request body."""
    return OpenApiExample(name, value=value, request_only=True)
