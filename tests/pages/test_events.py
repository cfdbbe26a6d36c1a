"""Server-sent events: told once per change, bounded in time and in number."""

import asyncio

import pytest
from django.urls import reverse

from market.web import sse
from trading import selectors
from trading.models import LiveSession


def heard(readings, turns):
    """Return what a listener gets when the object's version goes through `readings`."""
    left = list(readings)

    async def read():
        return left.pop(0) if len(left) > 1 else left[0]

    async def no_sleep(seconds):
        return None

    async def listen():
        return [event async for event in sse.changes(read, turns=turns, sleep=no_sleep)]

    return asyncio.run(listen())


def test_a_change_is_told_once():
    events = heard([{"v": 1}, {"v": 1}, {"v": 2}, {"v": 2}], turns=4)
    assert [event for event in events if b"changed" in event] == [
        b'event: changed\ndata: {"v": 1}\n\n',
        b'event: changed\ndata: {"v": 2}\n\n',
    ]


def test_silence_is_broken_by_a_comment_and_the_stream_ends():
    events = heard([{"v": 1}], turns=31)
    assert events.count(b": still here\n\n") == 2
    assert events[0] == b"retry: 2000\n\n"


def test_too_many_streams_are_sent_to_polling(monkeypatch):
    monkeypatch.setattr(sse, "_open", sse.MAX_STREAMS)
    answer = sse.stream(dict)
    assert answer.status_code == 503
    assert answer["Retry-After"] == "30"


def test_the_version_of_a_session_changes_with_what_it_does(world):
    session = world["session"]
    before = selectors.version(session.pk)
    session.orders.update(status="cancelled")
    assert selectors.version(session.pk) == before  # a bare update of the row alone is not a change of it
    LiveSession.objects.filter(pk=session.pk).update(price_ms=session.price_ms + 1)
    assert selectors.version(session.pk) != before


@pytest.mark.django_db(transaction=True)
def test_the_stream_tells_the_state_of_the_session(async_client, monkeypatch):
    from tests import factories

    session = factories.lived_in_session()
    async_client.force_login(session.owner)

    async def first_events():
        answer = await async_client.get(reverse("session-stream", args=[session.pk]))
        assert answer["Content-Type"] == "text/event-stream"
        stream = answer.streaming_content
        events = [await anext(stream), await anext(stream)]
        await stream.aclose()
        return events

    assert b'"status": "running"' in asyncio.run(first_events())[1]
