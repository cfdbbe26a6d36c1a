"""Ticks of old days move into files, exactly once, whatever happens in between."""

from decimal import Decimal
from urllib.parse import urlencode

import pytest
from rest_framework.test import APIClient

from market import tick_archive
from market.models import Tick
from market.tick_archive import DAY_MS, load, newest, path_of, roll_up
from tests import factories

pytestmark = pytest.mark.django_db
DAY = 1_790_726_400_000  # 2026-09-30T00:00Z
MARKET, PAIR = "ccxt:binance:https://testnet.binance.vision", "BTC/USDT"
NOW = DAY + 3 * DAY_MS + 1000


def tick(at_ms, last="84596.123456789012", pair=PAIR):
    price = Decimal(last)
    return Tick.objects.create(market=MARKET, pair=pair, at_ms=at_ms, bid=price, ask=price, last=price)


@pytest.fixture
def two_days():
    for at_ms in (DAY, DAY + 5000, DAY + DAY_MS - 1, DAY + DAY_MS, NOW - 1):
        tick(at_ms, "84596.01")


def times(from_ms=DAY, to_ms=NOW):
    return [row[0] for row in load(MARKET, PAIR, from_ms, to_ms)]


def test_days_that_ended_long_ago_become_files_and_younger_rows_stay(two_days):
    before = times()
    done = roll_up(NOW, keep_days=2)
    assert (done.files, done.rows) == (1, 3)
    assert Tick.objects.count() == 2
    assert path_of(MARKET, PAIR, DAY).is_file()
    assert times() == before
    assert roll_up(NOW, keep_days=2).rows == 0
    assert times(DAY + 1, DAY + DAY_MS) == [DAY + 5000, DAY + DAY_MS - 1]


def pages(market=MARKET, **asked):
    """Follow `next` from the first page on; return the instants of every page."""
    client = APIClient()
    client.force_authenticate(factories.UserFactory())
    address, found = f"/api/v1/ticks/?{urlencode({'market': market, 'pair': PAIR, **asked})}", []
    while address:
        page = client.get(address).json()
        found.append([row["at_ms"] for row in page["results"]])
        address = page["next"]
    return found


@pytest.mark.parametrize("keep_days", [0, 1, 2, 7])
def test_rest_shows_archived_days_and_rows_as_one_newest_first(two_days, keep_days):
    backwards = times()[::-1]
    roll_up(NOW, keep_days=keep_days)
    assert pages(limit=2) == [backwards[:2], backwards[2:4], backwards[4:]]
    assert pages(limit=5) == pages() == [backwards]
    assert pages(since=DAY + 5000, until=DAY + DAY_MS, limit=1) == [[DAY + DAY_MS - 1], [DAY + 5000]]
    assert pages(market="elsewhere") == [[]]


def test_a_late_row_of_an_archived_day_comes_once_and_in_its_place(two_days):
    roll_up(NOW, keep_days=1)
    tick(DAY + 7000)
    tick(DAY + 5000, "1")  # the row wins over the file, as everywhere: it is the newer record
    assert [at_ms for page in pages(limit=2) for at_ms in page] == times()[::-1]
    answer = load(MARKET, PAIR, DAY + 5000, DAY + 5001)
    assert answer == newest(MARKET, PAIR, 0, DAY + 5001, 1)


def test_an_archived_tick_has_its_exact_price_and_no_id():
    tick(DAY, "0.000000012345")
    roll_up(NOW, keep_days=1)
    client = APIClient()
    client.force_authenticate(factories.UserFactory())
    asked = {"market": MARKET, "pair": PAIR}
    row = client.get("/api/v1/ticks/", asked).json()["results"][0]
    assert (row["id"], row["last"]) == (None, "0.000000012345")
    refused = client.get("/api/v1/ticks/", asked | {"since": "yesterday"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["since"])


def test_prices_keep_every_digit():
    tick(DAY, "0.000000012345")
    roll_up(NOW, keep_days=1)
    assert load(MARKET, PAIR, DAY, NOW) == [(DAY, *[Decimal("0.000000012345")] * 3)]


def test_a_crash_between_the_file_and_the_rows_doubles_and_loses_nothing(two_days, monkeypatch):
    before, write = times(), tick_archive._write

    def dies(*given):
        write(*given)
        raise SystemExit

    monkeypatch.setattr(tick_archive, "_write", dies)
    with pytest.raises(SystemExit):
        roll_up(NOW, keep_days=1)
    assert times() == before
    monkeypatch.undo()
    tick(DAY + 7000)  # late, for a day that has its file already
    assert roll_up(NOW, keep_days=1).files == 2
    assert times() == sorted([*before, DAY + 7000])
    assert Tick.objects.count() == 1


def test_a_disk_that_is_full_leaves_the_rows_and_no_rest(two_days, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tick_archive.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        roll_up(NOW, keep_days=1)
    assert Tick.objects.count() == 5
    assert list(path_of(MARKET, PAIR, DAY).parent.iterdir()) == []


def test_names_that_look_alike_have_files_of_their_own():
    assert path_of("a:b", "X/Y", DAY) != path_of("a-b", "X/Y", DAY)
    tick(DAY)
    tick(DAY, pair="BTC-USDT")
    assert roll_up(NOW, keep_days=1).files == 2
    assert len(load(MARKET, "BTC-USDT", DAY, NOW)) == 1
