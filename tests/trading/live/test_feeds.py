"""Sessions that follow one feed see what each would see of a feed of its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from market.sources.port import SourceUnavailable
from market.synthetic import regime_market
from tests.trading.live.test_bars import MINUTE, START, Source, at, feed_of
from trading.feeds import Feeds, Follower

pytestmark = pytest.mark.django_db
MARKET = regime_market(bars=1500, seed=3, interval_ms=MINUTE, start_ms=START, start_price=50_000.0)


@pytest.fixture
def source():
    return Source(MARKET)


@pytest.fixture
def two(source):
    feeds = Feeds()
    return [Follower(feeds.shared(feed_of(source)), feeds) for _ in range(2)]


def test_a_bar_is_read_and_computed_once_for_all(two, source, django_assert_num_queries):
    first, second = two
    assert first.feed is second.feed
    assert first.advance(at(source, 1200)) == second.advance(at(source, 1200)) == [source.all.open_ms[1200]]
    first.advance(at(source, 1201))
    assert second.ahead is first.shown
    with django_assert_num_queries(0):
        assert second.advance(at(source, 1201)) == [source.all.open_ms[1201]]
    assert second.shown is first.shown
    assert second.ahead is None


def test_while_one_asks_the_source_the_others_can_tell(two, source, monkeypatch):
    first, second = two
    seen, real = [], source.candles

    def candles(*args, **given):
        seen.append(second.is_asked_for(at(source, 1203)))
        if len(seen) > 1:
            raise SourceUnavailable("it does not answer")
        return real(*args, **given)

    monkeypatch.setattr(source, "candles", candles)
    first.advance(at(source, 1200))
    assert not second.is_asked_for(at(source, 1203))
    with pytest.raises(SourceUnavailable):
        first.advance(at(source, 1203))
    assert seen == [True, True]
    assert not second.is_asked_for(at(source, 1203))


def test_what_a_follower_shows_stays_until_it_advances_itself(two, source):
    """A decision that waits in the middle must not see a later bar."""
    first, second = two
    for one in two:
        one.advance(at(source, 1200))
    kept = second.shown.rows.copy()
    first.advance(at(source, 1203))
    assert second.shown.open_ms[-1] == source.all.open_ms[1200]
    assert np.array_equal(second.shown.rows, kept)
    assert second.advance(at(source, 1203)) == source.all.open_ms[1201:1204].tolist()
    assert second.closes[-1] == source.all.close[1203]


def test_a_follower_that_asks_with_an_older_clock_is_shown_nothing_from_later(two, source):
    first, second = two
    for one in two:
        one.advance(at(source, 1200))
    first.advance(at(source, 1202))
    assert second.advance(at(source, 1201)) == []
    assert second.shown.open_ms[-1] == source.all.open_ms[1200]
    assert second.advance(at(source, 1202)) == source.all.open_ms[1201:1203].tolist()


def test_whoever_comes_while_another_waits_for_the_source_takes_nothing_in_twice(two, source):
    first, second = two
    for one in two:
        one.advance(at(source, 1200))
    asked, came = source.candles, []

    def slow(*given, **named):
        found = asked(*given, **named)
        if not came:
            came.append(True)  # the other session gets the baton while this answer is on its way
            came.append(second.advance(at(source, 1201)))
        return found

    source.candles = slow
    assert first.advance(at(source, 1201)) == came[1] == [source.all.open_ms[1201]]
    alone = Follower(feed_of(source), Feeds())
    alone.advance(at(source, 1200))
    alone.advance(at(source, 1201))
    assert np.array_equal(first.shown.rows, alone.shown.rows)


def test_feeds_that_differ_in_anything_are_not_shared(source):
    feeds = Feeds()
    here = feeds.shared(feed_of(source))
    assert feeds.shared(feed_of(source)) is here
    assert feeds.shared(feed_of(source, market="another")) is not here
    assert feeds.shared(feed_of(source, window=4)) is not here


def test_a_feed_nobody_follows_is_let_go(source):
    feeds = Feeds()
    follower = Follower(feeds.shared(feed_of(source)), feeds)
    gone = id(follower.feed)
    assert len(feeds._known) == 1
    del follower
    assert not feeds._known, gone


class AnyOrder(TestCase):
    @settings(max_examples=20, deadline=None)
    @given(
        steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12),
        cut=st.integers(0, 400),
    )
    def test_in_whatever_order_sessions_ask_each_is_shown_what_one_alone_would_be(self, steps, cut):
        """Look-ahead included: bars behind the clock are poisoned and change nothing."""
        feeds, row = Feeds(), 1100 + cut % 300
        alone_source = Source(MARKET)
        shared = [Follower(feeds.shared(feed_of(alone_source)), feeds) for _ in range(3)]
        alone = [Follower(feed_of(alone_source, market=f"alone {k}"), Feeds()) for k in range(3)]
        for one in (*shared, *alone):
            one.advance(at(alone_source, row))
        for who, bars in steps:
            row += bars
            got, expected = (them[who].advance(at(alone_source, row)) for them in (shared, alone))
            assert got == expected[-len(got) :] if got else not expected
            assert np.array_equal(shared[who].shown.rows, alone[who].shown.rows)
            assert shared[who].closes[-1] == alone[who].closes[-1] == MARKET.close[row]
