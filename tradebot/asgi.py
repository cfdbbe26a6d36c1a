"""ASGI entry point: `uvicorn tradebot.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradebot.settings")
application = get_asgi_application()
