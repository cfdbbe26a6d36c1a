"""`Idempotency-Key`: a POST that is repeated after a lost answer starts nothing twice.

Same key and body: the stored answer. Same key, other body: 422. First request still at work: 409. A request
that was refused (4xx) or failed stores nothing, so that it may be sent again with the same key.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from market.errors import BadInput, Conflict
from market.models import IdempotencyKey
from market.web.problems import KeyReused

HEADER = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Any text of up to 80 characters, new for every new request. Repeating a request with the "
    "same key returns the first answer and starts nothing twice.",
)
MAX_LENGTH = 80


def idempotent(view: Callable[..., Response]) -> Callable[..., Response]:
    """Wrap a viewset's POST method; without the header it runs as it is."""

    @wraps(view)
    def wrapper(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return view(self, request, *args, **kwargs)
        row, stored = _claim(request, key)
        if stored is not None:
            return stored
        try:
            response = view(self, request, *args, **kwargs)
        except BaseException:
            row.delete()
            raise
        row.status, row.answer = response.status_code, _plain(response.data)
        row.save(update_fields=["status", "answer"])
        return response

    return wrapper


def _claim(request: Request, key: str) -> tuple[IdempotencyKey, Response | None]:
    """Return (row, None) when this request is the first with its key, else (row, the stored answer)."""
    if len(key) > MAX_LENGTH:
        raise BadInput(f"Idempotency-Key is longer than {MAX_LENGTH} characters; send a shorter one.")
    named = {"user": request.user, "key": key, "path": request.path[:200]}
    body_hash = _hash(request)
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(**named, body_hash=body_hash), None
    except IntegrityError:
        row = IdempotencyKey.objects.get(**named)
    if row.body_hash != body_hash:
        raise KeyReused("This key was used for a request with another body; use a new key.")
    if row.status is None:
        raise Conflict("The first request with this key has not finished; look whether it took effect.")
    return row, Response(row.answer, status=row.status, headers={"Idempotent-Replay": "true"})


def _hash(request: Request) -> str:
    digest = hashlib.sha256()
    body: Any = request.data
    if not isinstance(body, Mapping):  # the view says what is wrong with it
        return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()
    for name, value in sorted(body.items()):
        digest.update(name.encode() + b"=")
        if isinstance(value, UploadedFile):
            for chunk in value.chunks():
                digest.update(chunk)
            value.seek(0)
        else:
            digest.update(json.dumps(value, sort_keys=True, default=str).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _plain(data: Any) -> Any:
    return json.loads(json.dumps(data, cls=JSONEncoder))
