"""Where prices and bars come from: what one person sets never reaches what another one trades on."""

from decimal import Decimal
from importlib import import_module
from itertools import combinations
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from market import leases
from market.errors import BadInput
from market.features import PRESETS
from market.models import LiveBar
from tests import factories
from tests.trading.live.conftest import MINUTE, Inline, Live
from tests.trading.live.test_bars import at, feed_of, source  # noqa: F401  a fixture
from trading import accounts, parity, seat
from trading.bars import candle_source, stored_bars
from trading.exchanges.errors import Throttled
from trading.exchanges.streamed import Streamed
from trading.models import Account
from trading.runner.baton import Baton
from trading.runner.desk import Desk
from trading.runner.loop import Runner

MARKET = "paper-binance:https://api.binance.com"


class Liar:
    """Candles of a server that one person has entered: the newest close is made up."""

    def __init__(self, honest):
        self.honest = honest

    def candles(self, *args, **given):
        found = self.honest.candles(*args, **given)
        for column in (found.open, found.high, found.low, found.close):
            column.setflags(write=True)
            column[-1] = 1.0
        return found


def paper(owner, venue, name, candles_url):
    return accounts.create_account(
        owner=owner, name=name, venue="paper", base_url=venue.url, candles_url=candles_url,
        calls_per_minute=100_000, poll_s=0.05,
    )  # fmt: skip


def test_nobody_decides_on_candles_of_another_persons_address(user, other_user, venue):
    ada = Live(user, venue, paper(user, venue, "ada's", venue.url))
    bob = Live(
        other_user, venue, paper(other_user, venue, "bob's", venue.url.replace("127.0.0.1", "localhost"))
    )
    ada.start("buy_and_hold").turn()
    bob.start("cash").die()
    lease = leases.acquire(bob.session.lease_name)
    bob.seat = seat.take(
        bob.session, exchange=bob.exchange, lease=lease, source=Liar(candle_source(bob.account))
    )
    venue.advance(MINUTE)
    bob.turn()
    assert bob.session.decisions.first().price == 1
    ada.turn()
    assert abs(ada.session.decisions.first().price / ada.session.price - 1) < Decimal("0.05")
    assert parity.verify(ada.session).is_equal


@pytest.mark.parametrize("candles_url", ["", "https://candles.example"])
def test_bars_of_quotes_are_never_taken_for_bars_with_volume(db, source, candles_url):  # noqa: F811
    wants = next(features for features in PRESETS.values() if features.needs_volume)
    quotes = Account(venue="paper", base_url="https://a.example", candles_url=candles_url)
    candles = Account(venue="paper", base_url="https://a.example", candles_url="https://candles.example")
    plain = feed_of(source, market=quotes.bars(with_volume=False))
    whole = feed_of(source, wants, market=candles.bars(with_volume=True))
    for feed in (plain, whole):
        feed.advance(at(source, 1199))
    for row in (1199, 1200, 1201):
        plain.ticks.see(Decimal(str(source.all.close[row])), int(source.all.open_ms[row]) + 1000)
    source.is_down = True
    plain.advance(at(source, 1200))
    source.is_down = False
    whole.advance(at(source, 1200))
    first = int(source.all.open_ms[1200])
    assert stored_bars(plain.market, "BTC/USD", MINUTE, first, first).volume == [0]
    assert stored_bars(whole.market, "BTC/USD", MINUTE, first, first).volume == [source.all.volume[1200]]


def test_all_that_a_bar_depends_on_is_in_its_name():
    given = {
        "base_url": ("https://a.example", "https://b.example"),
        "candles_url": ("", "https://c.example", "https://d.example"),
        "stream_url": ("", "wss://e.example", "wss://f.example"),
    }
    made = [
        Account(venue=venue, **dict(zip(given, (base, candles, stream), strict=True)))
        for venue in ("paper", "paper-binance")
        for base in given["base_url"]
        for candles in given["candles_url"]
        for stream in given["stream_url"]
    ]
    for one, other in combinations(made, 2):
        assert one.bars(with_volume=False) != other.bars(with_volume=False)
        is_same_read = (one.market, one.stream_url) == (other.market, other.stream_url)
        assert (one.prices == other.prices) is is_same_read
        is_same_source = (one.market, one.candles_url) == (other.market, other.candles_url)
        assert (one.bars(with_volume=True) == other.bars(with_volume=True)) is is_same_source
    mixed = {account.bars(with_volume=False) for account in made}
    assert not mixed & {account.bars(with_volume=True) for account in made if account.candles_url}


def test_an_address_with_spaces_which_could_read_like_two_is_refused(user):
    with pytest.raises(BadInput, match="is not an address"):
        accounts.create_account(
            owner=user, name="x", venue="paper", base_url="https://a.example/b wss://c.example"
        )


def at_binance(owner, stream_url, candles_url=""):
    return accounts.create_account(
        owner=owner, name="p", venue="paper-binance", base_url="https://api.binance.com",
        stream_url=stream_url, candles_url=candles_url,
    )  # fmt: skip


def streamed(owner, stream_url):
    account = at_binance(owner, stream_url)
    return factories.SessionFactory(owner=owner, account=account, pair="BTC/USDT")


def test_prices_come_from_ones_own_stream(user, other_user):
    bob, ada = streamed(other_user, "wss://bob.example:9443"), streamed(user, "")
    runner = Runner(hands=Inline(), monotonic_s=lambda: 0.0)
    runner._scan()
    readers = {one.session.pk: desk.readers for desk in runner._desks.values() for one in desk.driven}
    for desk in runner._desks.values():
        for one in desk.driven:
            one.release()
    [(hers, _)], [(his, _)] = readers[ada.pk], readers[bob.pk]
    assert [isinstance(one.prices, Streamed) for one in (hers, his)] == [False, True]
    assert set(runner._desks) == {MARKET, bob.account.prices}
    assert "bob.example" not in bob.account.prices  # ticks are shown to everybody


def test_equal_accounts_of_several_people_share_one_read(user, other_user):
    streamed(other_user, ""), streamed(user, "")
    runner = Runner(hands=Inline(), monotonic_s=lambda: 0.0)
    runner._scan()
    [desk] = runner._desks.values()
    assert len(desk.driven) == len(desk.readers) == 2
    for one in desk.driven:
        one.release()


class Venue:
    """A venue that counts who was asked for prices, and has none."""

    def __init__(self):
        self.calls = 0

    def quotes(self, pairs):
        self.calls += 1
        raise Throttled(60)


def test_nobodys_calls_are_spent_at_another_accounts_pace():
    """Ada came first, Bob wants prices every half second: that costs his calls, hers only where his fail."""
    now = SimpleNamespace(s=0.0)
    desk = Desk("shared", Baton(), lambda: now.s)
    ada, bob = Venue(), Venue()
    for number, (exchange, poll_s) in enumerate([(ada, 5.0), (bob, 0.5)]):
        session = SimpleNamespace(account_id=number, account=SimpleNamespace(poll_s=poll_s), pair="BTC/USD")
        desk.driven.append(
            SimpleNamespace(
                session=session,
                exchange=exchange,
                next_s=0.0,
                is_busy=True,
                is_in_line=False,
                longest_wait_s=30.0,
            )
        )
    desk.read()
    assert (bob.calls, ada.calls, desk.next_s) == (1, 0, 5.0)
    now.s = desk.next_s
    desk.read()
    assert (bob.calls, ada.calls, desk.next_s) == (1, 1, 65.0)


@pytest.mark.django_db
def test_bars_on_record_stay_in_use_under_their_new_names(user, other_user):
    plain, candles = at_binance(user, ""), at_binance(other_user, "wss://s.example", "https://c.example")
    bar = {"pair": "BTC/USDT", "interval_ms": MINUTE, "open": 1, "high": 1, "low": 1, "volume": 2}
    bar["origin"] = "candles"
    LiveBar.objects.create(market=MARKET, open_ms=0, close=7, **bar)
    LiveBar.objects.create(market="another", open_ms=0, close=8, **bar)
    name_anew = import_module("trading.migrations.0021_bars_by_source").name_anew
    for _ in range(2):  # by two who were asked to: nothing is doubled
        name_anew(apps, SimpleNamespace(connection=connection, execute=run))
    for account in (plain, candles):
        for with_volume in {False, bool(account.candles_url)}:
            found = stored_bars(account.bars(with_volume=with_volume), "BTC/USDT", MINUTE, 0, 0)
            assert (found.close, found.volume) == ([7], [2])
    assert LiveBar.objects.count() == 4
    plain.delete()
    name_anew(apps, SimpleNamespace(connection=connection, execute=run))
    assert not LiveBar.objects.filter(market=MARKET).exists()


def run(sql, params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
