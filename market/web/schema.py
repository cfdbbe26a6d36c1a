"""The OpenAPI description: what every operation has in common is added in one place."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details; `errors` maps a field to its sentences.",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "example": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}
MEANINGS = {
    "400": "Input that cannot be used, with a sentence per field",
    "401": "No or no valid token",
    "403": "Role too low",
    "404": "No such object, or not yours",
    "406": "No such format",
    "409": "The present state forbids it",
    "422": "Idempotency key used for another request",
    "429": "Too many requests",
}
CHANGES_ONLY = {"409", "422"}


def with_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add the problem documents to every operation (a drf-spectacular postprocessing hook)."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in result["paths"].values():
        for method, operation in path.items():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            for code, text in MEANINGS.items():
                if code not in CHANGES_ONLY or method != "get":
                    operation["responses"].setdefault(code, {"description": text, "content": content})
    return result


def example(name: str, value: dict[str, Any]) -> OpenApiExample:
    """Return the example of a request body."""
    return OpenApiExample(name, value=value, request_only=True)
