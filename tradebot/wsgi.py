"""WSGI entry point, for servers that speak nothing else (server-sent events then fall back to polling)."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradebot.settings")
application = get_wsgi_application()
