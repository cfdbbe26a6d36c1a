"""Closed bars: from the source, else from quotes; stored once, replayable."""

from decimal import Decimal

import numpy as np
import pytest
from django.db import transaction

from agents.policies import baseline
from market import leases
from market.features import compute, preset
from market.models import LiveBar, Tick
from market.sources.port import SourceUnavailable
from market.synthetic import regime_market
from trading import seat
from trading.acting import carry_out, intend
from trading.bars import BarFeed, TickBars, TooFewBars, candle_source, stored_bars
from trading.models import Alert, SessionStatus

MINUTE = 60_000
START = 1_704_067_200_000


class Source:
    """Candles at hand, which may be missing or out of reach for a while."""

    def __init__(self, candles):
        self.all, self.is_down, self.lag = candles, False, 0

    def candles(self, pair, interval_ms, from_ms, to_ms, *, now_ms):
        if self.is_down:
            raise SourceUnavailable("the source is down")
        return self.all.between(from_ms, min(to_ms, now_ms - interval_ms + 1 - self.lag))


@pytest.fixture
def source():
    return Source(regime_market(bars=1500, seed=3, interval_ms=MINUTE, start_ms=START, start_price=50_000.0))


def feed_of(source, features=None, window=3, market="m"):
    needs = features or baseline("sma_crossover").observation.feature_set
    return BarFeed(
        market=market,
        pair="BTC/USD",
        interval_ms=MINUTE,
        source=source,
        feature_set=needs,
        window=window,
        closes=5,
    )


def at(source, row, late_ms=1000):
    """An instant shortly after the close of bar `row`."""
    return int(source.all.open_ms[row]) + MINUTE + late_ms


@pytest.mark.django_db
def test_live_rows_are_the_batch_rows_bit_for_bit(source):
    feed = feed_of(source, preset("core"))
    rows = compute(source.all, preset("core"))
    feed.advance(at(source, 1200))
    for row in range(1201, 1210):
        assert feed.advance(at(source, row)) == [int(source.all.open_ms[row])]
    history = stored_bars("m", "BTC/USD", MINUTE, feed.warm_from_ms, int(source.all.open_ms[1209]))
    assert np.array_equal(feed.rows, compute(history, preset("core"))[-3:])
    assert np.allclose(feed.rows, rows[1207:1210], rtol=1e-6, atol=1e-9)


@pytest.mark.django_db
def test_missed_bars_are_taken_in_together(source):
    feed = feed_of(source)
    feed.advance(at(source, 1000))
    assert len(feed.advance(at(source, 1004))) == 4
    assert feed.advance(at(source, 1004)) == []


@pytest.mark.django_db
def test_the_open_bar_is_never_taken_in(source):
    feed = feed_of(source)
    feed.advance(at(source, 1000))
    assert feed.advance(at(source, 1001) - 2000) == []
    assert feed.last_ms == source.all.open_ms[1000]


@pytest.mark.django_db
def test_too_little_history_is_said_in_one_sentence(source):
    with pytest.raises(TooFewBars, match="warming up needs"):
        feed_of(source).advance(at(source, 20))


@pytest.mark.django_db
def test_what_was_stored_first_counts_for_everybody(source):
    first = feed_of(source)
    first.advance(at(source, 1000))
    LiveBar.objects.filter(open_ms=int(source.all.open_ms[1000])).update(close=1.0)
    second = feed_of(source)
    second.advance(at(source, 1000))
    assert second.closes[-1] == 1.0


@pytest.mark.django_db
def test_a_bar_is_built_from_quotes_when_the_source_is_down(source):
    feed = feed_of(source)
    feed.advance(at(source, 1000))
    source.is_down = True
    for second in range(0, 130, 5):
        feed.ticks.see(Decimal(100 + second), int(source.all.open_ms[1000]) + 30_000 + second * 1000)
    assert feed.advance(at(source, 1001)) == [int(source.all.open_ms[1001])]
    bar = LiveBar.objects.get(open_ms=int(source.all.open_ms[1001]))
    assert (bar.origin, bar.open, bar.high, bar.low, bar.close) == ("ticks", 130, 185, 130, 185)


@pytest.mark.django_db
def test_without_source_and_quotes_the_bar_is_unknown(source):
    feed = feed_of(source)
    feed.advance(at(source, 1000))
    source.is_down = True
    with pytest.raises(SourceUnavailable):
        feed.advance(at(source, 1001))
    source.is_down = False
    assert len(feed.advance(at(source, 1001))) == 1


def watch(feed, source, row):
    """See quotes all through a bar and a little longer."""
    for second in range(-30, 70, 5):
        feed.ticks.see(Decimal(100), int(source.all.open_ms[row]) + second * 1000)


@pytest.mark.django_db
def test_a_source_that_is_down_at_the_start_is_waited_for(source):
    feed = feed_of(source)
    source.is_down = True
    watch(feed, source, 1000)
    with pytest.raises(SourceUnavailable):  # one bar from quotes is no history
        feed.advance(at(source, 1000))
    source.is_down = False
    assert feed.advance(at(source, 1000)) == [int(source.all.open_ms[1000])]


@pytest.mark.django_db
@pytest.mark.parametrize("fault", [{"is_down": True}, {"lag": 2 * MINUTE}])
def test_no_bar_is_built_behind_a_hole(source, fault):
    feed = feed_of(source)
    feed.advance(at(source, 1000))
    for name, value in fault.items():
        setattr(source, name, value)
    watch(feed, source, 1002)
    with pytest.raises(SourceUnavailable):
        feed.advance(at(source, 1002, 30_000))
    source.is_down, source.lag = False, 0
    assert feed.advance(at(source, 1002, 30_000)) == source.all.open_ms[1001:1003].tolist()


@pytest.mark.django_db
def test_a_late_source_is_waited_for(source):
    feed = feed_of(source)
    feed.advance(at(source, 1000))
    source.lag = MINUTE
    with pytest.raises(SourceUnavailable, match="yet"):
        feed.advance(at(source, 1001))
    source.lag = 0
    assert len(feed.advance(at(source, 1001, 5000))) == 1


def test_a_bar_that_was_not_watched_whole_is_not_built():
    ticks = TickBars(MINUTE)
    ticks.see(Decimal(5), START + 30_000)
    ticks.see(Decimal(6), START + MINUTE)
    ticks.see(Decimal(7), START + 2 * MINUTE)
    assert ticks.bar(START) is None
    assert ticks.bar(START + MINUTE).close == 6


def test_without_a_candle_source_a_session_warms_up_from_quotes(live, monkeypatch):
    type(live.account).objects.update(candles_url="")
    live.account.refresh_from_db()
    live.start("buy_and_hold")
    live.bar(live.seat.feed.feed.needed + 4)
    assert live.session.status == SessionStatus.RUNNING
    assert set(LiveBar.objects.values_list("origin", flat=True)) == {"ticks"}
    assert live.session.fills.count() == 1


def test_too_few_bars_fail_the_session_with_a_sentence(live, monkeypatch):
    live.start("sma_crossover")
    monkeypatch.setattr(type(live.seat.feed.feed.feature_set), "memory", 10**6)
    live.bar()
    assert live.session.status == SessionStatus.FAILED
    assert "warming up needs" in live.session.note
    assert Alert.objects.filter(key=f"failed:{live.session.pk}").exists()
    assert not Tick.objects.exists()


def test_a_partial_answer_of_candles_ends_no_session_that_holds(live):
    live.start("sma_crossover", risk={"stop_loss": 0.05}).bar()
    quote = live.exchange.quotes()["BTC/USD"]
    with transaction.atomic():
        order = intend(live.seat, Decimal("0.1"), quote.ask, "test", live.exchange.now_ms())
    carry_out(live.seat, order, quote)
    needed = live.seat.feed.feed.needed
    live.die()
    whole = candle_source(live.account)
    live.venue.advance((needed + 5) * MINUTE)  # what is stored does not warm the features up any more

    class InPart:
        answers = 0

        def candles(self, *asked, **given):
            self.answers += 1
            found = whole.candles(*asked, **given)
            return found[len(found) - 2 :] if self.answers == 1 else found

    lease = leases.acquire(live.session.lease_name)
    live.seat = seat.take(live.session, exchange=live.exchange, lease=lease, source=InPart())
    live.turn()
    assert (live.session.status, live.session.held) == (SessionStatus.RUNNING, Decimal("0.1"))
    assert "warming up needs" in Alert.objects.get(key=f"unknown:{live.session.pk}").text
    for _ in range(2):
        live.bar()
    assert live.session.last_bar_ms == live.seat.feed.newest_closed_ms(live.exchange.now_ms())
