"""Every API error as an RFC 9457 problem document; never a traceback."""

import json
import logging
import sys
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from market.errors import BadInput, Conflict
from market.outages import outage

logger = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"
TITLES = {
    400: "The request cannot be used",
    401: "Sign in or send a token",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "No such format",
    409: "In conflict with the present state",
    415: "Unsupported media type",
    422: "Idempotency key used for another request",
    429: "Too many requests",
    500: "Something failed on our side",
    503: "Not possible at present",
}


class KeyReused(exceptions.APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


def problem(
    code: int, detail: str, *, path: str, errors: dict[str, list[str]] | None = None
) -> dict[str, Any]:
    """Return the members of a problem document; `errors` maps a field to its sentences."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(code, "Error"),
        "status": code,
        "detail": detail,
        "instance": path,
    }
    return {**body, "errors": errors} if errors else body


def as_problem(error: Exception, context: dict[str, Any]) -> Response:
    """Turn whatever a view raised into a problem document (REST_FRAMEWORK's EXCEPTION_HANDLER)."""
    request = context["request"]
    error = _translated(error)
    response = exception_handler(error, context)
    if response is None:
        logger.exception("unhandled error path=%s", request.path, exc_info=error)
        got_request_exception.send(sender=None, request=request)
        set_rollback()
        response = Response(status=status.HTTP_500_INTERNAL_SERVER_ERROR)
        detail, fields = "An unexpected error was recorded in the server's log.", None
    else:
        detail, fields = _sentences(response.data)
    response.data = problem(response.status_code, detail, path=request.path, errors=fields)
    response.content_type = CONTENT_TYPE
    return response


def bare(code: int, sentence: str, *, path: str) -> tuple[str, bytes]:
    """Return (content type, body) of an answer without a view: a problem under /api/, else plain text."""
    said = f"{sentence[:1].upper()}{sentence[1:]}."
    if path.startswith("/api/"):
        return CONTENT_TYPE, json.dumps(problem(code, said, path=path)).encode()
    return "text/plain; charset=utf-8", f"{said}\n".encode()


def unknown_address(request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
    """Answer 404 as a problem document for addresses under /api/ that do not exist."""
    body = problem(404, "There is nothing at this address; see /api/docs/.", path=request.path)
    return JsonResponse(body, status=404, content_type=CONTENT_TYPE)


def failed(request: HttpRequest) -> HttpResponse:
    """Answer what no view caught (handler500): a full disk or an absent database in one sentence, HTTP 503.

    Draws with no database, session or user: any of them may be what failed.
    """
    sentence = outage(sys.exc_info()[1] or Exception())
    if request.path.startswith("/api/"):
        code = 503 if sentence else 500
        detail = sentence or "an unexpected error was recorded in the server's log"
        content_type, body = bare(code, detail, path=request.path)
        return HttpResponse(body, status=code, content_type=content_type)
    said = f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""
    page = render_to_string("500.html", {"sentence": said})
    return HttpResponse(page, status=503 if sentence else 500)


def _translated(error: Exception) -> Exception:
    if isinstance(error, Conflict):
        conflict = exceptions.APIException({error.field: [error.message]} if error.field else error.message)
        conflict.status_code = status.HTTP_409_CONFLICT
        return conflict
    if isinstance(error, BadInput):
        return exceptions.ValidationError({error.field or "non_field_errors": [error.message]})
    if isinstance(error, RecursionError):  # a body of thousands of brackets
        return exceptions.ParseError("The JSON is nested too deeply.")
    if sentence := outage(error):
        unavailable = exceptions.APIException(sentence[:1].upper() + sentence[1:] + ".")
        unavailable.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        logger.error("unavailable: %s", error)
        return unavailable
    if isinstance(error, ProtectedError):
        conflict = exceptions.APIException("Other objects still refer to it, so it cannot be deleted.")
        conflict.status_code = status.HTTP_409_CONFLICT
        return conflict
    if isinstance(error, Http404):
        return exceptions.NotFound("There is no such object, or it is not yours.")
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied(str(error) or None)
    return error


def _sentences(data: Any) -> tuple[str, dict[str, list[str]] | None]:
    """Return (detail, errors by field) of what DRF would have answered."""
    if isinstance(data, dict) and set(data) == {"detail"}:
        return str(data["detail"]), None
    if isinstance(data, list):
        return " ".join(map(str, data)), None
    fields = {str(name): _flat(value) for name, value in dict(data).items()}
    general = fields.pop("non_field_errors", [])
    named = [_named(name, " ".join(lines)) for name, lines in fields.items()]
    return " ".join([*general, *named]), fields or None


def _named(field: str, sentence: str) -> str:
    return sentence if sentence.startswith(field) else f"{field}: {sentence}"


def _flat(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}: {line}" for name, lines in value.items() for line in _flat(lines)]
    if isinstance(value, list | tuple):
        return [line for item in value for line in _flat(item)]
    return [str(value)]
