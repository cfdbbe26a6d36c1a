"""Price streams on a real WebSocket: quotes, order, breaks of every kind, and the fall back to polling."""

import json
import threading
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db import OperationalError
from django.urls import reverse

from market.models import Tick
from tests import factories
from tests.venues.prices import PriceServer, binance_frame, bybit_frames, wait_until
from tests.venues.server import start_venue
from trading import accounts, ticks
from trading.exchanges import registry
from trading.exchanges.errors import ExchangeError
from trading.exchanges.stream import PriceStream
from trading.exchanges.stream_book import StreamBook
from trading.exchanges.stream_dialects import BinanceStream, BybitStream
from trading.exchanges.streamed import Streamed
from trading.runner import loop as runner
from trading.runner.baton import Baton
from trading.runner.desk import Desk
from trading.ticks import collect, record_ticks

from .conftest import T0

D = Decimal
PAIR = "BTC/USDT"
BINANCE, BYBIT = BinanceStream(), BybitStream()


@pytest.fixture
def server():
    with PriceServer() as running:
        yield running


@pytest.fixture
def stream(server):
    made = []

    def make(dialect=BINANCE, **settings):
        made.append(PriceStream(dialect, server.url, first_wait_s=0.02, jitter=lambda: 0.5, **settings))
        made[-1].want([PAIR])
        return made[-1]

    yield make
    for one in made:
        one.close()


def seen(stream, at_ms):
    wait_until(
        lambda: PAIR in stream.quotes() and stream.quotes()[PAIR].at_ms == at_ms, f"a quote of {at_ms}"
    )
    return stream.quotes()[PAIR]


@pytest.mark.parametrize(("dialect", "frames"), [
    (BINANCE, [binance_frame(T0)]),
    (BYBIT, bybit_frames(T0, 7)),
])  # fmt: skip
def test_a_stream_shows_the_touch_the_last_price_and_the_venues_time(server, stream, dialect, frames):
    listening = stream(dialect)
    server.say(*frames)
    quote = seen(listening, T0)
    assert (quote.pair, quote.bid, quote.ask, quote.last) == (
        PAIR,
        D("84596.00"),
        D("84596.01"),
        D("84596.00"),
    )
    assert (quote.change_24h, quote.volume_quote_24h) == (D("-0.0132"), D("1000.5"))
    assert listening.is_live


def test_a_pair_wanted_later_is_asked_for_with_the_others(server, stream):
    listening = stream()
    server.say(binance_frame(T0))
    seen(listening, T0)
    listening.want(["ETH/USDT"])
    wait_until(lambda: {"btcusdt@ticker", "ethusdt@ticker"} in server.asked, "a subscription to both")
    listening.want([PAIR])
    assert server.connections <= 2


def test_a_dropped_connection_is_made_anew_and_old_quotes_are_gone_meanwhile(server, stream):
    listening = stream()
    server.say(binance_frame(T0))
    seen(listening, T0)
    server.drop()
    wait_until(lambda: listening.quotes() == {}, "forgetting")
    server.say(binance_frame(T0 + 9000))
    seen(listening, T0 + 9000)
    assert (listening.connections, listening.failures) == (2, 1)
    assert listening.gaps == 1  # nine seconds of it were not seen


def test_a_server_that_is_restarted_is_found_again(server, stream):
    listening = stream()
    server.say(binance_frame(T0))
    seen(listening, T0)
    server.stop()
    wait_until(lambda: listening.failures >= 2, "a try in vain")
    server.start()
    server.say(binance_frame(T0 + 1000))
    seen(listening, T0 + 1000)


def test_a_stream_that_falls_silent_is_left_and_tried_anew(server, stream):
    listening = stream(stall_s=0.5)
    wait_until(lambda: listening.connections >= 2, "a second connection")
    assert "nothing usable" in listening.last_error
    assert listening.quotes() == {}


NONSENSE = ["{", "[]", '"hello"', json.dumps(binance_frame(T0, b="NaN")), json.dumps(binance_frame("soon")),
            json.dumps({"e": "24hrTicker", "E": T0})]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_a_malformed_frame_is_left_out_and_the_next_is_taken(server, stream, text):
    listening = stream()
    server.say(text, binance_frame(T0))
    seen(listening, T0)
    assert (listening.nonsense, listening.connections) == (1, 1)


def test_a_stream_of_nonsense_is_left(server, stream):
    listening = stream()
    server.say(*["{"] * 5)
    wait_until(lambda: len(server.asked) >= 2, "giving up")
    server.say(binance_frame(T0))
    seen(listening, T0)


def test_a_refused_subscription_is_no_price(server, stream):
    listening = stream(BYBIT)
    server.say({"success": False, "ret_msg": "bad topic", "op": "subscribe"})
    wait_until(lambda: listening.nonsense == 1, "reading the refusal")
    assert not listening.is_live


def test_waits_grow_to_a_minute_with_jitter(monkeypatch):
    listening = PriceStream(BINANCE, "ws://127.0.0.1:9", jitter=iter([0.5, 1.0] * 6).__next__)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 9:
            listening._closed.set()

    monkeypatch.setattr(listening._closed, "wait", pause)
    monkeypatch.setattr(listening, "_listen", lambda: (_ for _ in ()).throw(OSError("down")))
    listening._run()
    assert pauses == [1.0, 3.0, 4.0, 12.0, 16.0, 48.0, 60.0, 60.0, 60.0]


def test_frames_out_of_order_are_left_out_and_gaps_are_counted():
    book = StreamBook()

    def take(at_ms, update):
        touch, last = bybit_frames(at_ms, update, bid=f"{update}.0", ask=f"{update}.5")
        book.take(BYBIT.part(last))
        return book.take(BYBIT.part(touch))

    assert [take(T0, 5), take(T0 + 100, 6), take(T0 + 50, 4)] == [True, True, False]
    assert (book.late, book.gaps, book.quote("BTCUSDT", PAIR).bid) == (1, 0, D("6.0"))
    assert take(T0 + 6000, 7)
    assert book.gaps == 1
    assert take(T0 + 6100, 1)  # the venue began to count anew
    assert take(T0 + 6200, 2)
    assert (book.late, book.quote("BTCUSDT", PAIR).at_ms) == (1, T0 + 6200)


def test_after_a_break_the_last_price_of_before_is_none():
    """The touch and the last price come in frames of their own: an old last price would be a bar's."""
    book = StreamBook()
    for frame in bybit_frames(T0, 5, bid="100.0", ask="100.5"):
        book.take(BYBIT.part(frame))
    assert book.quote("BTCUSDT", PAIR).last > 0
    book.forget()
    touch, last = bybit_frames(T0 + 600_000, 1, bid="200.0", ask="200.5")
    assert book.take(BYBIT.part(touch))
    assert book.quote("BTCUSDT", PAIR) is None
    book.take(BYBIT.part(last))
    assert book.quote("BTCUSDT", PAIR).bid == D("200.0")


@pytest.mark.parametrize(("bid", "ask"), [("2", "1"), ("0", "1"), ("-1", "1")])
def test_a_crossed_or_empty_book_is_no_quote(bid, ask):
    book = StreamBook()
    book.take(BINANCE.part(binance_frame(T0, bid, ask)))
    assert book.quote("BTCUSDT", PAIR) is None


# --- an account that uses it


@pytest.fixture
def elsewhere(sandbox):
    with start_venue("binance", sandbox) as running:
        yield running


@pytest.fixture(params=["paper-binance", "ccxt:binance"])
def venue(request, user, db, elsewhere, server):
    account = accounts.create_account(
        owner=user, name="streamed", venue=request.param, base_url=elsewhere.url, stream_url=server.url,
        key=elsewhere.key, secret=elsewhere.secret, calls_per_minute=1000,
    )  # fmt: skip
    exchange = registry.connect(account, with_stream=True)
    yield exchange
    registry.close(exchange)


def pair_of(venue):
    return "BTC/USD" if venue.name == "paper" else PAIR


def polls(elsewhere):
    return [path for _, path in elsewhere.requests].count("/api/v3/ticker/24hr")


def test_fresh_prices_of_the_stream_cost_no_call_and_silence_is_polled(venue, elsewhere, server):
    pair = pair_of(venue)
    assert venue.quotes([pair])[pair].bid == D("84596.00")  # nothing has come yet: asked for
    assert polls(elsewhere) == 1
    ahead_ms = venue.now_ms() + 60_000  # fresh for a minute
    server.say(binance_frame(ahead_ms, "84000.00", "84000.01"))
    wait_until(lambda: venue.quotes([pair])[pair].bid == D("84000.00"), "a streamed price")
    before = polls(elsewhere)
    assert venue.quotes([pair])[pair].at_ms == ahead_ms
    assert polls(elsewhere) == before
    server.say(binance_frame(ahead_ms + 1, "1.00", "1.01", symbol="ETHUSDT"))
    server.stop()
    wait_until(lambda: venue.quotes([pair])[pair].bid == D("84596.00"), "polling while it is down")


def test_a_stale_stream_and_a_venue_that_does_not_answer_are_unknown(venue, elsewhere, server):
    pair = pair_of(venue)
    venue.quotes([pair])
    server.say(binance_frame(venue.now_ms() - 10_000, "84000.00", "84000.01"))
    elsewhere.fail("/api/v3/ticker/24hr", (500, "{}"), method="GET")
    with pytest.raises(ExchangeError):
        venue.quotes([pair])


def test_without_an_address_prices_are_polled(user, db, elsewhere):
    account = accounts.create_account(
        owner=user, name="polled", venue="paper-binance", base_url=elsewhere.url, calls_per_minute=1000
    )
    exchange = registry.connect(account, with_stream=True)
    assert not isinstance(exchange._prices, Streamed)
    registry.close(exchange)


def test_ticks_are_collected_from_the_stream_each_once_and_in_batches(venue, elsewhere, server):
    pair, at_ms = pair_of(venue), venue.now_ms() + 60_000
    venue.quotes([pair])
    waited, stored = [], []

    def sleep(seconds):
        waited.append(seconds)
        stored.append(Tick.objects.count())
        server.say(binance_frame(at_ms + len(waited) // 2, "84000.00", "84000.01"))  # every other one is new
        wait_until(lambda: venue.quotes([pair])[pair].at_ms == at_ms + len(waited) // 2, "a quote")

    how = {"poll_s": 5.0, "seconds": 40, "batch_s": 15.0, "sleep": sleep, "say": pytest.fail}
    done = collect(venue, "here", [pair], monotonic_s=lambda: sum(waited), **how)
    assert done.reads == 9
    assert done.ticks == Tick.objects.filter(market="here", pair=pair).count() == 6
    assert stored[:4] == [0, 0, 0, 3]
    assert record_ticks("here", venue.quotes([pair]).values()) == 0  # a collector that starts anew


def test_quotes_wait_while_the_database_cannot_be_written(venue, monkeypatch):
    pair, said, waited, write = pair_of(venue), [], [], ticks.record_ticks

    def locked(market, quotes):
        if len(waited) < 2:
            raise OperationalError("database is locked")
        return write(market, quotes)

    monkeypatch.setattr(ticks, "record_ticks", locked)
    how = {"poll_s": 5.0, "seconds": 15, "sleep": waited.append, "say": said.append}
    done = collect(venue, "here", [pair], monotonic_s=lambda: sum(waited), **how)
    assert (done.errors, len(said)) == (2, 2)
    assert done.ticks == done.reads == Tick.objects.count() == 4


def test_a_runner_that_ends_its_slice_ends_its_streams(venue):
    driving = runner.Runner(sleep=lambda _: None)
    driving._exchanges[1, ""] = venue
    venue.quotes([pair_of(venue)])
    assert "prices" in {thread.name for thread in threading.enumerate()}
    assert driving.run(0.0) == 0
    assert "prices" not in {thread.name for thread in threading.enumerate()}


class Driven:
    """A session on an account, as a desk knows it."""

    next_s, is_busy, is_in_line, is_over = 1e9, False, False, True

    def __init__(self, account, exchange):
        self.session, self.exchange = SimpleNamespace(account_id=account.pk, account=account), exchange


@pytest.fixture
def desk(db, user, server, sandbox):
    with start_venue("binance", sandbox) as venue:
        account = accounts.create_account(
            owner=user, name="streamed", venue="paper-binance", base_url=venue.url, stream_url=server.url
        )
        exchange = registry.connect(account, with_stream=True)
        exchange.prices.stream._first_wait_s = 0.02
        clock = SimpleNamespace(now_s=0.0)
        made = Desk("streamed", Baton(), lambda: clock.now_s)
        made.driven, made.clock, made.account = [Driven(account, exchange)], clock, account
        yield made
        registry.close(exchange)


def test_how_a_stream_goes_is_kept_for_people_at_every_change(desk, server, client):
    stream = desk.driven[0].exchange.prices.stream

    def noted():
        desk.clock.now_s += 2.0
        desk._note_streams()
        desk.account.refresh_from_db()
        return desk.account.stream_state

    assert noted() == {}  # nobody has asked it for anything yet
    stream.want([PAIR])
    server.say(binance_frame(T0), binance_frame(T0 + 9000))
    wait_until(lambda: stream.gaps == 1, "the second frame")
    assert (noted()["is_live"], desk.account.stream_state["gaps"]) == (True, 1)
    server.drop()
    wait_until(lambda: stream.failures and stream.connections == 2, "a new connection")
    assert noted()["failures"] >= 1
    before = desk.account.stream_at
    assert noted() == desk.account.stream_state
    assert desk.account.stream_at == before  # nothing has changed: nothing is written
    client.force_login(factories.UserFactory(is_superuser=True))
    page = client.get(reverse("account", args=[desk.account.pk])).content.decode()
    assert "Price stream" in page
    assert f"<dd>{desk.account.stream_state['connections']} times</dd>" in page
