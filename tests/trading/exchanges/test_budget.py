"""The call budget: never more calls in any 60 seconds than allowed, whoever makes them."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.budget import WINDOW_S, Budget, charged, reserve_of
from trading.exchanges.errors import Throttled
from trading.models import Account


@given(
    st.lists(st.integers(0, 9_000), min_size=1, max_size=300),
    st.integers(1, 12),
)
def test_no_sixty_seconds_ever_hold_more_calls_than_allowed(steps_ms, room):
    now_ms, window, made = 1_700_000_000_000, [], []
    for step_ms in steps_ms:
        now_ms += step_ms
        window, wait_s = charged(window, now_ms // 1000, room)
        if not wait_s:
            made.append(now_ms)
        assert len([at_ms for at_ms in made if at_ms > now_ms - 60_000]) <= room


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 12))
def test_a_throttled_call_succeeds_after_the_wait_it_was_told_and_not_before(steps_s, room):
    now_s, window = 1_700_000_000, []
    for step_s in steps_s:
        now_s += step_s
        window, wait_s = charged(window, now_s, room)
        if wait_s:
            assert charged(window, now_s + wait_s - 1, room)[1] > 0
            assert charged(window, now_s + wait_s, room)[1] == 0
        assert len(window) <= WINDOW_S


def test_a_clock_set_back_does_not_lock_the_account_for_long():
    window, _ = charged([], 1_700_003_600, 1)
    assert charged(window, 1_700_000_000, 1)[1] <= WINDOW_S


@pytest.mark.parametrize(("limit", "reserve"), [(1, 0), (2, 1), (4, 1), (28, 7), (6000, 1500)])
def test_a_part_of_the_budget_is_kept_for_orders(limit, reserve):
    assert reserve_of(limit) == reserve


@pytest.fixture
def account(user):
    return Account.objects.create(owner=user, name="a", venue="roostoo", base_url="http://127.0.0.1:1")


@pytest.mark.django_db
def test_reads_leave_room_for_orders(account):
    budget = Budget(account.pk, 8)
    for _ in range(6):
        budget("read")
    with pytest.raises(Throttled) as caught:
        budget("read")
    assert 0 < caught.value.wait_s <= WINDOW_S
    budget("order")
    budget("order")
    with pytest.raises(Throttled):
        budget("order")


SPENDER = """
import threading
import django
django.setup()
from django.db import connection
from trading.budget import Budget
from trading.exchanges.errors import Throttled
made = []
def spend():
    budget = Budget(1, 50)
    for _ in range(15):
        try:
            budget("order")
            made.append(1)
        except Throttled:
            pass
    connection.close()
threads = [threading.Thread(target=spend) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(made))
"""


PREPARE = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
call_command("migrate", verbosity=0)
from trading.models import Account
owner = get_user_model().objects.create_user("ada")
Account.objects.create(owner=owner, name="a", venue="roostoo", base_url="http://127.0.0.1:1")
"""


@pytest.fixture
def start(tmp_path):
    """Start Python code in a process of its own, on a database with one account."""
    root = Path(__file__).resolve().parents[3]
    environment = {
        "VAR_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "tradebot.settings",
        "PATH": "/usr/bin:/bin",
    }

    def start(code):
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=root, env=environment, stdout=subprocess.PIPE, text=True
        )

    with start(PREPARE) as process:
        assert process.wait(60) == 0
    return start


def test_processes_and_threads_share_one_budget_to_the_last_call(start):
    running = [start(SPENDER) for _ in range(3)]
    made = [int(process.communicate(timeout=60)[0]) for process in running]
    assert sum(made) == 50


READER = """
import django
django.setup()
from trading.budget import Budget
from trading.exchanges.errors import Throttled
made = {"read": 0, "order": 0}
budget = Budget(1, 30)
for kind in ["read"] * 40 + ["order"] * 20:
    try:
        budget(kind)
        made[kind] += 1
    except Throttled:
        pass
print(made["read"], made["order"])
"""


def test_reads_of_two_processes_leave_the_orders_of_both_their_reserve(start):
    running = [start(READER) for _ in range(2)]
    made = [tuple(map(int, process.communicate(timeout=60)[0].split())) for process in running]
    reads, orders = (sum(column) for column in zip(*made, strict=True))
    assert reads <= 30 - reserve_of(30)
    assert reads + orders == 30
    assert orders >= reserve_of(30)
