"""A venue's key, secret and signatures stay out of whatever a person or a log may see."""

import logging
import pickle
import traceback

import pytest
import requests
from django.core import serializers

from trading import accounts
from trading.exchanges.errors import ExchangeError
from trading.exchanges.port import Proposal
from trading.exchanges.registry import connect
from trading.models import Account

from .conftest import PAIR, add

KEY, SECRET = "visible-key-" + "k" * 40, "hidden-secret-" + "s" * 40


@pytest.fixture
def wrong(db, user, sandbox):
    """An account whose key the sandbox does not know."""
    return add(user, sandbox, name="wrong", key=KEY, secret=SECRET)


def everything_said_by(act):
    with pytest.raises(ExchangeError) as caught:
        act()
    error = caught.value
    seen = [str(error), repr(error), "".join(traceback.format_exception(error)), str(error.__cause__)]
    return "\n".join(seen)


def test_no_failure_shows_the_secret_or_the_key(wrong, sandbox, caplog):
    caplog.set_level(logging.DEBUG)
    exchange = connect(wrong)
    order = Proposal(PAIR, "BUY", "MARKET", accounts.OPENING_USD)
    said = everything_said_by(exchange.balances) + everything_said_by(lambda: exchange.place(order))
    sandbox.faults(drop_before=True)
    said += everything_said_by(exchange.balances) + everything_said_by(lambda: exchange.place(order))
    sandbox.faults(clear=True, truncated_json=True)
    said += everything_said_by(exchange.balances) + everything_said_by(lambda: exchange.place(order))
    assert SECRET not in said + caplog.text
    assert KEY not in said + caplog.text


def test_no_adapter_shows_the_secret_when_printed(wrong):
    exchange = connect(wrong)
    for thing in (exchange, exchange._wire, exchange._wire._credentials, exchange._wire._http, wrong):
        assert SECRET not in repr(thing) + str(thing)
        assert KEY not in repr(thing) + str(thing)


def test_a_lost_connection_does_not_carry_the_request_along(wrong, sandbox):
    sandbox.faults(drop_before=True)
    with pytest.raises(ExchangeError) as caught:
        connect(wrong).server_ms()
    assert caught.value.__cause__ is None
    assert not isinstance(caught.value, requests.RequestException)
    assert SECRET.encode() not in pickle.dumps(str(caught.value))


def test_the_database_holds_the_secret_sealed(wrong):
    stored = bytes(Account.objects.values_list("secret", flat=True).get(pk=wrong.pk))
    assert SECRET.encode() not in stored
    assert accounts.open_secret(wrong) == SECRET
    assert SECRET not in serializers.serialize("json", [wrong])
