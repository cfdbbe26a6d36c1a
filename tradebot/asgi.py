"""ASGI entry point: `uvicorn tradebot.asgi:application`."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradebot.settings")
django = get_asgi_application()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve Django; an upload that fills the disk before any view sees it is answered with a sentence."""
    try:
        await django(scope, receive, send)
    except OSError as error:
        from market.outages import outage  # after Django's set-up
        from market.web import problems

        sentence = outage(error)
        if sentence is None:
            raise
        content_type, body = problems.bare(503, sentence, path=scope["path"])
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})
