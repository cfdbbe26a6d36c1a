"""The estimate of the venue's clock."""

import pytest

from trading.exchanges.clock import VenueClock


class Local:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def synchronised(rate, answers, *, every_s=1.5):
    """A clock that has read a venue running `rate` times as fast as ours."""
    local = Local()
    clock = VenueClock(local)
    for _ in range(answers):
        clock.read(int(1_000_000 + local.now_s * 1000 * rate), local.now_s)
        local.now_s += every_s
    return clock, local


def test_an_unread_clock_knows_no_time():
    with pytest.raises(LookupError):
        VenueClock(Local()).now_ms()


def test_a_real_time_venue_is_carried_on_in_real_time():
    clock, local = synchronised(1.0, 5)
    assert clock.rate == 1.0
    assert clock.now_ms() == pytest.approx(1_000_000 + local.now_s * 1000, abs=2)


@pytest.mark.parametrize("rate", [0.0, 60.0, 5000.0])
def test_a_venue_that_runs_faster_or_stands_still_is_followed(rate):
    clock, local = synchronised(rate, 5)
    assert clock.rate == pytest.approx(rate)
    assert clock.now_ms() == pytest.approx(1_000_000 + local.now_s * 1000 * rate, abs=2)


def test_a_clock_moved_by_hand_is_not_taken_for_a_fast_one():
    clock, local = synchronised(1.0, 3)
    clock.read(clock.now_ms() + 3_600_000, local.now_s)
    assert clock.rate == 1.0


def test_the_time_of_an_answer_is_that_of_half_its_way():
    local = Local()
    clock = VenueClock(local)
    sent_s = local.now_s
    local.now_s += 0.4
    clock.read(1_000_000, sent_s)
    assert clock.now_ms() == pytest.approx(1_000_200, abs=1)


def test_an_answer_with_an_old_time_is_doubted():
    clock, _local = synchronised(1.0, 3)
    assert clock.doubts(clock.now_ms() - 10_000)
    assert not clock.doubts(clock.now_ms() - 300)
