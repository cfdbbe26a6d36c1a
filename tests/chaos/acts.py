"""What is done to the processes of a run. Each act returns what it struck, or "" when there was nothing."""

import contextlib
import os
import signal
import time
from decimal import Decimal
from random import Random

import psutil

from market import leases
from market.models import Lease
from tests.chaos import database
from tests.chaos.inject.chaos_points import SUSPEND
from tests.chaos.world import SECRET, TTL_S, World, wait_until

POINT_S = 1.5  # how long a labelled point is waited for
HAND_PAIR, HAND_QUANTITIES = "BTC/USD", ("0.0123", "0.0234")
HAND_COLLATERALS = ("123.45", "234.56")  # far below what a session sends


def drivers() -> list[psutil.Process]:
    """Return the living processes that hold a session."""
    held = Lease.objects.filter(name__startswith="session:", until_ms__gte=leases.now_ms())
    found = []
    for owner in held.values_list("owner", flat=True):
        with contextlib.suppress(psutil.NoSuchProcess, ValueError, IndexError):
            process = psutil.Process(int(owner.split(":")[-2]))
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def act(name: str, passage: int, world: World, key: str, random: Random) -> str:
    """Do what a plan says."""
    if " at " in name:
        return at_point(*name.split(" at ", 1), passage, world)
    return ACTS[name](world, key, random)


def at_point(action: str, label: str, passage: int, world: World) -> str:
    world.arm(label, passage, action)
    wait_until(lambda: world.struck(label) is not None, POINT_S)
    pid = world.struck(label)
    world.disarm()
    if pid is None:
        return ""
    if label == "driver-sent-for":  # the command has died with its supervisor; its clusters die with it
        return label
    if action == SUSPEND:
        world.suspended.add(pid)
        time.sleep(TTL_S + 0.5)
        world.wake_all()
    return label


def nothing(world: World, key: str, random: Random) -> str:
    return "nothing"


def one_driver(random: Random) -> psutil.Process | None:
    living = drivers()
    return random.choice(living) if living else None


def kill_driver(world: World, key: str, random: Random) -> str:
    driver = one_driver(random)
    return _kill(driver)


def kill_sentinel(world: World, key: str, random: Random) -> str:
    driver = one_driver(random)
    with contextlib.suppress(psutil.NoSuchProcess):
        return _kill(driver.parent() if driver else None)
    return ""


def kill_idle(world: World, key: str, random: Random) -> str:
    busy = {one.pid for one in drivers()}
    for one in world.workers.family():
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.pid not in busy and "idle" in " ".join(one.cmdline()):
                return _kill(one)
    return ""


def _kill(process: psutil.Process | None) -> str:
    if process is None:
        return ""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
        return str(process.pid)
    return ""


def kill_workers(world: World, key: str, random: Random) -> str:
    world.workers.kill()
    return "workers"


def kill_web(world: World, key: str, random: Random) -> str:
    world.web.kill()
    return "web"


def kill_venue(world: World, key: str, random: Random) -> str:
    world.venue.die(softly=False)
    return "venue"


def restart_venue(world: World, key: str, random: Random) -> str:
    world.venue.die(softly=True)
    return "venue"


def suspend_driver(world: World, key: str, random: Random) -> str:
    """Suspend a driver beyond its lease; somebody else takes over, then it wakes."""
    driver = one_driver(random)
    if driver is None:
        return ""
    with contextlib.suppress(ProcessLookupError):
        world.suspended.add(driver.pid)
        os.kill(driver.pid, signal.SIGSTOP)
        time.sleep(TTL_S + random.uniform(0.3, 0.9))
        world.wake_all()
        return str(driver.pid)
    return ""


def lock_database(world: World, key: str, random: Random) -> str:
    database.lock_for(random.uniform(0.5, TTL_S + 1.5))  # shorter and longer than a lease
    return "database"


def fill_disk(world: World, key: str, random: Random) -> str:
    try:
        database.fill_disk_for(random.uniform(0.5, TTL_S), world.workers.family())
    finally:
        database.give_room(world.workers.family())
    return "disk"


def trade_by_hand(world: World, key: str, random: Random) -> str:
    """Buy or sell a little on the run's own account, as its owner might on the venue's page."""
    with contextlib.suppress(Exception):  # under a fault of the venue a person, too, is refused
        answer = world.venue.signed(
            "POST", "/v3/place_order", pair=HAND_PAIR, side="BUY", type="MARKET",
            quantity=random.choice(HAND_QUANTITIES), key=key, secret=SECRET,
        )  # fmt: skip
        return str(answer.get("OrderDetail", {}).get("OrderID", ""))
    return ""


def short_by_hand(world: World, key: str, random: Random) -> str:
    """Open a short by hand on a pair that a session may be short in, too: the venue merges both."""
    with contextlib.suppress(Exception):
        answer = world.venue.signed(
            "POST", "/v6/short_open", pair=HAND_PAIR, collateral=random.choice(HAND_COLLATERALS),
            key=key, secret=SECRET,
        )  # fmt: skip
        return str(answer.get("ID", ""))
    return ""


ACTS = {
    "nothing": nothing,
    "kill the driver": kill_driver,
    "kill an idle worker": kill_idle,
    "kill the sentinel": kill_sentinel,
    "kill the workers": kill_workers,
    "kill the web": kill_web,
    "kill the venue": kill_venue,
    "restart the venue": restart_venue,
    "suspend the driver": suspend_driver,
    "lock the database": lock_database,
    "fill the disk": fill_disk,
    "trade by hand": trade_by_hand,
    "short by hand": short_by_hand,
}
HAND = {Decimal(quantity) for quantity in HAND_QUANTITIES}
