"""A person with a channel that leads to a real receiver."""

import pytest

from tests.trading.notify.listener import listening, mailing
from tradebot.demo.processes import free_port
from trading.services import channels

KEY = "a signing key nobody knows"


@pytest.fixture
def hook(settings):
    settings.ALERTS_TO_PRIVATE = True
    with listening() as listener:
        yield listener


@pytest.fixture
def mail(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", free_port(), False
    with mailing(settings.EMAIL_PORT) as mailbox:
        yield mailbox


@pytest.fixture
def channel(db, user, hook):
    return channels.create_channel(
        owner=user, name="hook", kind="webhook", address=f"{hook.url}/t?token=abc", secret=KEY
    )
