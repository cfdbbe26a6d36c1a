"""Bad input as a person meets it: the same sentence on a page, by REST and from a command; nothing half done.

Every case walks the three ways against a real sandbox. A refusal is 422 on a page, 4xx by REST (409 where the
present state forbids it), exit status 2 from a command; a venue that does not answer is no server error.
"""

import dataclasses
import errno
import json
from dataclasses import dataclass
from html import unescape
from io import StringIO

import pytest
from django.core.files.uploadedfile import InMemoryUploadedFile, SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from agents.models import TrainingRun
from market import archive, services
from market.models import AuditEvent, ImportReport, Series
from tests.agents.markets import START, network_policy, stored, stored_model, walk
from tests.sandbox_server import start_sandbox
from trading import accounts
from trading.models import Account, LiveSession, RiskProfile

pytestmark = pytest.mark.django_db
WAYS = ["page", "rest", "command"]
MINUTE = 60_000
SECRET_VARIABLE = "BAD_INPUT_SECRET"


@dataclass
class Refusal:
    """What a person got: the status of the answer, and everything it said."""

    status: int
    text: str


class World:
    """A superuser with a browser, a token and a shell, and an account at a sandbox."""

    def __init__(self, user, venue):
        self.user, self.venue = user, venue
        self.browser = Client(raise_request_exception=False)
        self.browser.force_login(user)
        self.api = APIClient(raise_request_exception=False)
        self.api.force_authenticate(user)
        self.model = None

    def open_account(self):
        self.account = accounts.create_account(
            owner=self.user, name="sandbox", venue="roostoo", base_url=self.venue.url,
            candles_url=self.venue.url, key=self.venue.key, secret=self.venue.secret,
            calls_per_minute=100_000,
        )  # fmt: skip

    def page(self, name, form, *args):
        answer = self.browser.post(reverse(name, args=args), form)
        return Refusal(answer.status_code, unescape(answer.content.decode()))

    def rest(self, path, body, form="json"):
        answer = self.api.post(f"/api/v1/{path}/", body, format=form)
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        return Refusal(answer.status_code, str(answer.json().get("detail") or answer.json()))

    def command(self, *arguments):
        try:
            call_command(*arguments, stdout=StringIO(), stderr=StringIO())
        except CommandError as error:
            refused = Refusal(error.returncode, str(error))
        else:
            refused = Refusal(0, "")
        assert "\n" not in refused.text
        return refused


@pytest.fixture
def venue(tmp_path):
    with start_sandbox(state_dir=tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
def world(venue, django_user_model):
    world = World(django_user_model.objects.create_superuser("ada", password="correct horse battery"), venue)
    world.open_account()
    return world


def check(refusal, way, words, conflict=False):
    """One sentence, of the right status."""
    wanted = {"page": (422,), "rest": (409,) if conflict else (400,), "command": (2,)}[way]
    assert words in refusal.text, refusal.text[-1500:] if way != "page" else words
    assert refusal.status in wanted


# --- starting a session


def start(world, way, **changes):
    asked = {"pair": "BTC/USD", "interval": "1m", "account": world.account.pk} | changes
    if way == "rest":
        policy = {"model": world.model.pk} if world.model else {"baseline": "cash"}
        return world.rest("sessions", policy | asked)
    if way == "page":
        policy = f"model:{world.model.pk}" if world.model else "baseline:cash"
        return world.page("session-start", {"policy": policy} | asked)
    policy = ["--model", str(world.model.pk)] if world.model else ["--baseline", "cash"]
    names = {"duration_s": "--duration"}
    flags = [f"{names.get(name, '--' + name)}={value}" for name, value in asked.items()]
    return world.command("start_session", *policy, *flags)


def unknown_pair(world):
    return {"pair": "NOPE/USD"}


def wrong_key(world):
    Account.objects.update(api_key="Q" * 64)


def wrong_secret(world):
    accounts.rotate_secret(account=world.account, secret="q" * 64)


def venue_down(world):
    world.venue.stop()


def silent_candles(world):
    Account.objects.update(candles_url="http://127.0.0.1:9")


def money_that_is_not_there(world):
    return {"capital": "50000.01"}


def negative_capital(world):
    return {"capital": "-5"}


def endless(world):
    return {"duration_s": 10**12}


def odd_interval(world):
    return {"interval": "7m"}


def volume_from_quotes(world):
    Account.objects.update(candles_url="")
    world.model = stored_model(world.user, network_policy(walk(1200), "full"), walk(1200))


STARTS = [
    (unknown_pair, "has no pair 'NOPE/USD'"),
    (wrong_key, "does not accept this key and secret: check both"),
    (wrong_secret, "does not accept this key and secret: check both"),
    (venue_down, "cannot be reached"),
    (silent_candles, "the candles to warm up on cannot be read: http://127.0.0.1:9 cannot be reached"),
    (money_that_is_not_there, "only 50000 USD of the account are free"),
    (volume_from_quotes, "uses volume, and the account sandbox has no candle source"),
]
ABSURD = [
    (negative_capital, {"page": "greater than or equal to 0", "rest": "greater than or equal to 0",
                        "command": "capital must be above 0"}),
    (endless, {"page": "not one of the available choices", "rest": "less than or equal to 315360000",
               "command": "from 1 second to 10 years"}),
    (odd_interval, {"page": "not one of the available choices", "rest": "not a valid choice",
                    "command": "no interval '7m'"}),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("prepare", "words"), STARTS + ABSURD)
def test_a_session_that_cannot_work_is_not_started(world, way, prepare, words):
    changes = prepare(world) or {}
    said = words if isinstance(words, str) else words[way]
    check(start(world, way, **changes), way, said)
    assert not LiveSession.objects.exists()
    assert not AuditEvent.objects.filter(action="session.start").exists()


@pytest.fixture
def young_market(tmp_path):
    """A market of 40 quotes, without volume, that began 20 minutes ago."""
    rows = [(START + k * 30_000, "BTC/USD", 100 + k % 7, 101 + k % 7, 100.5 + k % 7) for k in range(80)]
    with start_sandbox(feed=rows, state_dir=tmp_path / "young") as running:
        running.advance(20 * MINUTE)
        yield running


@pytest.mark.parametrize("way", WAYS)
def test_too_few_candles_for_the_warm_up_are_told_before_anything_starts(world, young_market, way):
    world.venue = young_market
    Account.objects.update(base_url=young_market.url, candles_url=young_market.url)
    world.model = stored_model(world.user, network_policy(walk(600)), walk(600))
    refusal = start(world, way)
    check(
        refusal, way, "closed bars of BTC/USD and the candle source has only 20: choose a model with a shor"
    )
    assert not LiveSession.objects.exists()


@pytest.fixture
def quiet_market(tmp_path):
    """A market with a long history of quotes and no volume."""
    rows = [(START + k * MINUTE, "BTC/USD", 100 + k % 7, 101 + k % 7, 100.5 + k % 7) for k in range(4000)]
    with start_sandbox(feed=rows, state_dir=tmp_path / "quiet") as running:
        running.advance(3900 * MINUTE)
        yield running


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_needs_volume_is_not_started_where_there_is_none(world, quiet_market, way):
    world.venue = quiet_market
    Account.objects.update(base_url=quiet_market.url, candles_url=quiet_market.url)
    world.model = stored_model(world.user, network_policy(walk(1200), "full"), walk(1200))
    check(start(world, way), way, "the features need volume and the candle source reports none of BTC/USD")
    assert not LiveSession.objects.exists()


# --- testing a connection


def checked(world, way):
    """Return what each way says of the account's connection; the command adds it anew and keeps it only if
    it works."""
    if way == "page":
        address = reverse("account-check", args=[world.account.pk])
        answer = world.browser.post(address, follow=True)
        return Refusal(answer.status_code, unescape(answer.content.decode()))
    if way == "rest":
        answer = world.api.post(f"/api/v1/accounts/{world.account.pk}/check/").json()
        return Refusal(200 if answer["ok"] else 422, answer["sentence"])
    found = Account.objects.get()
    secret = accounts.open_secret(found)
    found.delete()
    out = StringIO()
    try:
        call_command(
            "add_account", "sandbox", "--venue", "roostoo", "--base-url", world.venue.url, "--key",
            found.api_key, "--secret-env", SECRET_VARIABLE, "--user", "ada", "--check", stdout=out,
        )  # fmt: skip
    except CommandError as error:
        return Refusal(error.returncode, str(error))
    finally:
        world.left = Account.objects.count()
        world.secret = secret
    return Refusal(0, out.getvalue())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("prepare", "words"),
    [(wrong_key, "does not accept this key"), (wrong_secret, "does not accept this key"),
     (venue_down, "cannot be reached")],
)  # fmt: skip
def test_a_connection_that_fails_is_told_in_one_sentence(world, monkeypatch, way, prepare, words):
    prepare(world)
    world.account.refresh_from_db()
    monkeypatch.setenv(SECRET_VARIABLE, accounts.open_secret(world.account))
    refusal = checked(world, way)
    assert words in refusal.text
    assert world.account.api_key not in refusal.text
    if way == "command":
        assert (refusal.status, world.left) == (2, 0)
        assert refusal.text.endswith("The account was not added.")


@pytest.mark.parametrize("way", WAYS)
def test_a_clock_off_by_90_seconds_is_told_and_allowed_for(world, monkeypatch, way):
    world.venue.faults(clock_skew_ms=90_000)
    monkeypatch.setenv(SECRET_VARIABLE, world.venue.secret)
    assert "The connection works" in checked(world, way).text


# --- settings of an account


ACCOUNT = {"name": "new", "venue": "roostoo", "key": "k" * 64, "secret": "s" * 64}
SETTINGS = [
    ({"calls_per_minute": -3}, ["greater than or equal to 1", "greater than or equal to 1", "must be 1 to"]),
    ({"poll_s": -1}, ["greater than or equal to 0.05", "greater than or equal to 0.05", "must be 0.05 to"]),
    ({"key": "two words"}, ["the key is not one"] * 3),
    ({"base_url": "nonsense"}, ["Enter a valid URL", "Enter a valid URL", "is not an address like"]),
    (
        {"venue": "atlantis"},
        ["not one of the available choices", "not a valid choice", "no venue 'atlantis'"],
    ),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("changes", "words"), SETTINGS)
def test_absurd_settings_of_an_account_are_refused(world, monkeypatch, way, changes, words):
    asked = ACCOUNT | {"base_url": "http://127.0.0.1:9", "calls_per_minute": 28, "poll_s": 5} | changes
    if way == "page":
        refusal = world.page("settings", asked)
    elif way == "rest":
        refusal = world.rest("accounts", asked)
    else:
        monkeypatch.setenv(SECRET_VARIABLE, asked.pop("secret"))
        name, names = asked.pop("name"), {"poll_s": "--poll"}
        flags = [f"{names.get(k, '--' + k.replace('_', '-'))}={v}" for k, v in asked.items()]
        refusal = world.command("add_account", name, *flags, "--secret-env", SECRET_VARIABLE, "--user", "ada")
    check(refusal, way, words[WAYS.index(way)])
    assert Account.objects.count() == 1
    assert "s" * 64 not in refusal.text


# --- candle files


LINES = ["open_time,open,high,low,close,volume",
         *(f"{START + k * MINUTE},100,101,99,100.5,2" for k in range(200))]  # fmt: skip
FILES = [
    ("empty.csv", b"", "empty"),
    ("words.csv", b"once upon a time\n", "no candles: no line with the columns open, high, low, close"),
    ("noise.csv", bytes(range(256)) * 4, "this is not a candle file"),
    ("cut.parquet", b"PAR1" + b"\0" * 200, "the Parquet file is damaged and cannot be read"),
    ("cut.csv.gz", b"\x1f\x8b\x08\0" + b"\7" * 30, "cut.csv.gz is a damaged archive"),
    ("cut.zip", b"PK\x03\x04" + b"\7" * 30, "cut.zip is a damaged archive"),
    ("novolume.csv", b"time,open,high,low,close\n1704067200000,1,1,1,1\n", "column volume is missing"),
]


def bring(world, way, name, data, tmp_path):
    if way == "page":
        return world.page("markets", {"upload": SimpleUploadedFile(name, data)})
    if way == "rest":
        return world.rest("imports", {"upload": SimpleUploadedFile(name, data)}, "multipart")
    (tmp_path / name).write_bytes(data)
    return world.command("import_candles", str(tmp_path / name))


def nothing_was_left(way):
    kept = list(services.uploads().glob("*")) if services.uploads().is_dir() else []
    reports = list(ImportReport.objects.values_list("status", flat=True))
    assert reports == (["failed"] if way == "command" else [])  # a command's report says what was refused
    assert (kept, Series.objects.count(), list(archive.root().rglob("*.parquet"))) == ([], 0, [])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "data", "words"), FILES)
def test_a_file_that_holds_no_candles_is_refused_at_once(world, tmp_path, way, name, data, words):
    check(bring(world, way, name, data, tmp_path), way, words)
    nothing_was_left(way)


@pytest.mark.parametrize("way", WAYS)
def test_a_disk_that_fills_up_while_importing_changes_nothing(world, tmp_path, monkeypatch, way):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(InMemoryUploadedFile, "chunks", full)
    monkeypatch.setattr(archive.files.os, "fsync", full)
    refusal = bring(world, way, "BTCUSDT-1m.csv", "\n".join(LINES).encode(), tmp_path)
    check(refusal, way, "the disk is full: nothing was imported; free some space")
    nothing_was_left(way)


@pytest.fixture
def full_database():
    """Let SQLite grow no further: a real "database or disk is full" at the next page it needs."""
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has a bound to set")
    connection.ensure_connection()
    raw = connection.connection  # Django's own refuses statements after an error inside a test's transaction
    most = raw.execute("PRAGMA max_page_count").fetchone()[0]
    pages = raw.execute("PRAGMA page_count").fetchone()[0]
    raw.execute(f"PRAGMA max_page_count = {pages}")
    yield
    raw.execute(f"PRAGMA max_page_count = {most}")


@pytest.mark.parametrize("way", WAYS)
def test_a_database_that_cannot_grow_is_told_in_one_sentence(world, full_database, tmp_path, way):
    data = "\n".join(LINES).encode()
    statuses = set()
    for number in range(400):  # until the pages it has are used up
        refusal = bring(world, way, f"BTCUSDT-1m-{'x' * 200}{number}.csv", data, tmp_path)
        statuses.add(refusal.status)
        if refusal.status in (503, 2):
            break
    assert refusal.status == {"page": 503, "rest": 503, "command": 2}[way]
    assert "he disk is full: nothing was" in refusal.text
    assert "free some space" in refusal.text
    assert not statuses & {500, 1}


# --- training


@pytest.fixture
def silent_series(world):
    """Candles without volume."""
    candles = walk(3000)
    return stored(dataclasses.replace(candles, volume=candles.volume * 0), world.user)


def train(world, way, series, **settings):
    if way == "page":
        form = {"name": "x", "series": series.pk, "preset": "demo", "steps": settings.pop("steps", 1000)}
        lines = "\n".join(f"{key}={json.dumps(value)}" for key, value in settings.items())
        return world.page("run-start", form | {"seed": 1, "overrides": lines})
    if way == "rest":
        spec = {"series": series.pk, "steps": 1000} | settings
        return world.rest("training-runs", {"name": "x", "preset": "demo", "spec": spec})
    flags = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    return world.command("train", "--preset", "demo", "--series", str(series.pk), "--name", "x", *flags)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("given", "words"),
    [({"features": "full"}, "the features need volume and SIM/USD 1m (test) reports none"),
     ({"steps": -1}, "greater than or equal to"),
     ({"ppo.lr": -1}, "greater than 0"),
     ({"algorithm": "sac", "action.kind": "levels"}, "sac cannot learn levels actions"),
     ({"episode_bars": 10**9}, "too few"),
     ({"nonsense": 1}, "nonsense")],
)  # fmt: skip
def test_a_training_that_cannot_work_is_not_started(world, silent_series, way, given, words):
    check(train(world, way, silent_series, **given), way, words)
    assert not TrainingRun.objects.exists()


# --- limits


@pytest.mark.parametrize("way", ["page", "rest"])  # no command changes limits
@pytest.mark.parametrize("change", [{"max_exposure": -1}, {"stop_loss": 7}, {"max_stale_s": "soon"}])
def test_absurd_limits_are_refused(world, way, change):
    if way == "page":
        blank = world.browser.get(reverse("risk")).context["form"]
        good = {name: blank[name].value() for name in blank.fields}
        refusal = world.page("risk", good | {"name": "mine"} | change)
    else:
        refusal = world.rest("risk-profiles", {"name": "mine"} | change)
    assert refusal.status == (422 if way == "page" else 400)
    assert not RiskProfile.objects.exists()


# --- a taken port


def test_a_taken_port_is_told_by_everything_that_listens(world, tmp_path, monkeypatch):
    from tradebot.demo.processes import DemoError, require_free_port

    port = world.venue.port
    refusal = world.command("sandbox", "--port", str(port), "--state", str(tmp_path / "other"))
    assert refusal.status == 2
    assert refusal.text.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert not (tmp_path / "other").exists()
    with pytest.raises(DemoError, match=f"port {port} for the web pages is taken"):
        require_free_port(port, "the web pages")
