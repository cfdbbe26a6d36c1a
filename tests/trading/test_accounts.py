"""Accounts as people add, change and test them."""

from decimal import Decimal
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from market.errors import BadInput, Conflict
from market.models import AuditEvent, Tick
from tests.sandbox_server import start_sandbox
from trading import accounts
from trading.models import Account, PaperState
from trading.ticks import collect, record_ticks

pytestmark = pytest.mark.django_db

GOOD = {
    "name": "contest",
    "venue": "roostoo",
    "base_url": "https://mock-api.roostoo.com/",
    "key": "k" * 64,
    "secret": "s" * 64,
}


@pytest.fixture
def sandbox():
    with start_sandbox() as running:
        yield running


@pytest.fixture
def account(user, sandbox):
    return accounts.create_account(
        owner=user, name="test", venue="roostoo", base_url=sandbox.url, key=sandbox.key, secret=sandbox.secret
    )


def test_an_account_is_stored_tidily_and_its_making_is_on_record(user):
    account = accounts.create_account(owner=user, **GOOD, candles_url="https://api.binance.com/")
    assert (account.base_url, account.candles_url) == (
        "https://mock-api.roostoo.com",
        "https://api.binance.com",
    )
    assert accounts.masked_key(account) == "kkkk…kkkk"
    event = AuditEvent.objects.get(action="account.create")
    assert (event.actor, event.object_id) == (user, str(account.pk))
    assert "k" * 10 not in str(event.detail)
    assert "s" * 10 not in str(event.detail)


@pytest.mark.parametrize(
    "address",
    [
        "HTTPS://Mock-API.roostoo.com",
        "https://mock-api.roostoo.com:443/",
        " https://mock-api.roostoo.COM/// ",
    ],
)
def test_one_key_is_one_account_however_its_address_is_spelled(user, address):
    accounts.create_account(owner=user, **GOOD)
    with pytest.raises(Conflict) as refusal:
        accounts.create_account(owner=user, **GOOD | {"name": "again", "base_url": address})
    assert refusal.value.field == "key"
    assert Account.objects.count() == 1


def test_addresses_keep_what_says_where(user):
    spelled = {"name": "v6", "base_url": "http://[::1]:8010/Path/", "candles_url": "http://LOCALHOST:80"}
    account = accounts.create_account(owner=user, **GOOD | spelled)
    assert (account.base_url, account.candles_url) == ("http://[::1]:8010/Path", "http://localhost")


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": "  "}, "name", "name"),
        ({"name": "n" * 81}, "name", "80"),
        ({"venue": "binance"}, "venue", "no venue"),
        ({"venue": "ccxt:kraken"}, "venue", "exactly once; through ccxt there are ccxt:binance, ccxt:bybit"),
        ({"base_url": "mock-api.roostoo.com"}, "base_url", "https://"),
        ({"base_url": "ftp://x"}, "base_url", "https://"),
        ({"base_url": "https://user:word@x.com"}, "base_url", "https://"),
        ({"base_url": "https://x.com:port"}, "base_url", "https://"),
        ({"candles_url": "nonsense"}, "candles_url", "https://"),
        ({"stream_url": "wss://stream.bybit.com"}, "stream_url", "no price stream"),
        ({"venue": "paper-binance", "stream_url": "https://x.com"}, "stream_url", "wss://"),
        ({"key": ""}, "key", "needs a key"),
        ({"secret": " "}, "secret", "needs a secret"),
        ({"key": "two words"}, "key", "spaces"),
        ({"key": "schlüssel"}, "key", "printable"),
        ({"calls_per_minute": 0}, "calls_per_minute", "calls per minute"),
        ({"poll_s": float("nan")}, "poll_s", "polls"),
        ({"poll_s": 0}, "poll_s", "polls"),
        ({"venue": "paper", "paper_usd": Decimal("NaN")}, "paper_usd", "paper"),
        ({"venue": "paper", "paper_usd": Decimal(-1)}, "paper_usd", "paper"),
    ],
)
def test_bad_input_names_its_field_and_stores_nothing(user, changes, field, words):
    with pytest.raises(BadInput, match=words) as caught:
        accounts.create_account(owner=user, **GOOD | changes)
    assert caught.value.field == field
    assert not Account.objects.exists()


def test_a_name_is_unique_per_owner_and_a_key_per_venue(user, other_user):
    accounts.create_account(owner=user, **GOOD)
    with pytest.raises(Conflict, match="name"):
        accounts.create_account(owner=user, **GOOD | {"key": "other"})
    with pytest.raises(Conflict, match="key"):
        accounts.create_account(owner=other_user, **GOOD)
    accounts.create_account(owner=other_user, **GOOD | {"key": "other"})


def test_a_paper_account_needs_no_key_and_gets_its_money(user):
    given = {"name": "p", "venue": "paper", "base_url": GOOD["base_url"], "paper_usd": Decimal("1000")}
    account = accounts.create_account(owner=user, **given)
    assert (account.api_key, bytes(account.secret), accounts.masked_key(account)) == ("", b"", "")
    assert PaperState.objects.get(account=account).state["balances"]["USD"]["free"] == "1000"
    with pytest.raises(BadInput, match="paper account"):
        accounts.rotate_secret(account=account, secret="new")


def test_a_secret_can_be_replaced_and_opened_with_a_rotated_key(user, settings):
    account = accounts.create_account(owner=user, **GOOD)
    accounts.rotate_secret(account=account, secret="new-secret", key="new-key", by=user)
    account.refresh_from_db()
    assert (account.api_key, accounts.open_secret(account)) == ("new-key", "new-secret")
    settings.FERNET_KEYS = [Fernet.generate_key().decode(), *settings.FERNET_KEYS]
    assert accounts.open_secret(account) == "new-secret"
    settings.FERNET_KEYS = settings.FERNET_KEYS[:1]
    with pytest.raises(BadInput, match="FERNET_KEYS"):
        accounts.open_secret(account)


def test_a_good_connection_says_what_is_there(account, user):
    result = accounts.check_account(account=account, by=user)
    assert (result.ok, result.balances["USD"].total) == (True, 50_000)
    assert "50,000 USD" in result.sentence
    assert abs(result.clock_offset_ms) > 1_000_000  # the sandbox replays an old market
    assert AuditEvent.objects.get(action="account.check").detail["ok"] is True


def broken(account, sandbox, what):
    if what == "key":
        accounts.rotate_secret(account=account, secret=sandbox.secret, key="wrong")
    elif what == "secret":
        accounts.rotate_secret(account=account, secret="wrong")
    elif what == "down":
        sandbox.stop()
    elif what == "stranger":
        account.base_url += "/elsewhere"
    elif what == "sealed":
        account.secret = b"not a token"
    else:
        sandbox.faults(**what)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("key", "does not accept this key"),
        ("secret", "does not accept this key"),
        ("down", "cannot be reached"),
        ("stranger", "did not answer as"),
        ("sealed", "FERNET_KEYS"),
        ({"http_5xx_before": True}, "cannot be reached"),
        ({"http_429": True}, "Too many calls"),
        ({"malformed_json": True}, "did not answer as"),
    ],
)
def test_each_failure_of_a_connection_is_one_sentence(account, sandbox, what, words):
    broken(account, sandbox, what)
    result = accounts.check_account(account=account)
    assert (result.ok, account.last_error) == (False, result.sentence)
    assert words in result.sentence
    assert result.sentence.endswith(".")
    assert sandbox.secret not in result.sentence


def test_a_clock_that_is_off_is_named_with_its_seconds(account):
    error = accounts.ClockSkew("timestamp out of range")
    assert "1 min 30 s ahead" in accounts.failure(account, error, 90_000)


def test_an_unfunded_account_connects_but_is_told_so(user):
    with start_sandbox(usd="0") as running:
        given = {"base_url": running.url, "key": running.key, "secret": running.secret}
        account = accounts.create_account(owner=user, **GOOD | given)
        result = accounts.check_account(account=account)
    assert result.ok
    assert "no money" in result.sentence


def added(*arguments, **options):
    out = StringIO()
    call_command("add_account", *arguments, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def test_the_command_takes_the_secret_from_the_environment_only(user, sandbox, monkeypatch):
    monkeypatch.setenv("MY_SECRET", sandbox.secret)
    where = ["--venue", "roostoo", "--base-url", sandbox.url, "--user", "ada"]
    said = added("mine", *where, "--key", sandbox.key, "--secret-env", "MY_SECRET", "--check", "--json")
    assert '"ok": true' in said
    assert sandbox.secret not in said
    assert sandbox.key not in said
    assert accounts.open_secret(Account.objects.get(name="mine")) == sandbox.secret


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--secret-env", "NOT_SET_ANYWHERE", "--user", "ada"], "NOT_SET_ANYWHERE is not set"),
        (["--user", "nobody"], "no user named"),
    ],
)
def test_the_command_ends_with_one_line_on_bad_input(user, arguments, words):
    with pytest.raises(CommandError, match=words) as caught:
        added("mine", "--venue", "roostoo", "--base-url", "https://x.com", "--key", "k", *arguments)
    assert caught.value.returncode == 2
    assert not Account.objects.exists()


def test_collected_quotes_become_ticks_once(account, sandbox):
    said, waited = [], []

    def sleep(seconds):
        waited.append(seconds)
        sandbox.advance(int(seconds * 1000))

    exchange = accounts.connect(account)
    how = {"poll_s": 5.0, "monotonic_s": lambda: sum(waited), "sleep": sleep, "say": said.append}
    done = collect(exchange, account.prices, ["BTC/USD"], seconds=20, **how)
    assert (done.reads, done.ticks, done.errors, said) == (5, 5, 0, [])
    assert Tick.objects.filter(market=account.prices, pair="BTC/USD").count() == 5
    assert record_ticks(account.prices, exchange.quotes(["BTC/USD"]).values()) == 0


def test_collecting_backs_off_while_the_venue_is_down_and_says_so(account, sandbox):
    said, waited = [], []
    sandbox.faults(http_5xx_before=True)
    how = {"poll_s": 5.0, "monotonic_s": lambda: sum(waited), "sleep": waited.append, "say": said.append}
    done = collect(accounts.connect(account), account.prices, None, seconds=200, **how)
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]
    assert (done.ticks, done.errors, len(said)) == (0, 9, 9)


def test_the_collecting_command_checks_its_input(account, sandbox):
    out = StringIO()
    options = {"account": "test", "stdout": out, "stderr": StringIO()}
    call_command("collect_ticks", "--json", seconds=0, pair=["BTC/USD"], **options)
    assert '"ticks": 1' in out.getvalue()
    with pytest.raises(CommandError, match="no pair NO/USD"):
        call_command("collect_ticks", pair=["NO/USD"], **options)
    with pytest.raises(CommandError, match="no account"):
        call_command("collect_ticks", account="ghost")
    sandbox.stop()
    with pytest.raises(CommandError, match="cannot be reached"):
        call_command("collect_ticks", pair=["BTC/USD"], **options)
