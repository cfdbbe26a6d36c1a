"""Labelled points at which a process of a chaos run is killed or suspended.

The product knows nothing of this: `sitecustomize` beside this file is put on the path of a run's processes
and wraps the named functions as their modules are imported. A point acts when the harness has put a file
`LABEL.N` into `CHAOS_POINTS`: on the Nth passage from then on, whichever process makes it.
"""

import functools
import importlib
import os
import signal
import sys
import threading
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

BEFORE, AFTER = "before", "after"
KILL, SUSPEND = "kill", "suspend"
MOST_PASSAGES = 3

# label: module, function, whether its call or its return is the point
WORKER = {
    "lease-taken": ("market.leases", "acquire", AFTER),
    "inside-decision": ("trading.acting", "intend", AFTER),  # in the transaction of decision and intent
    "intent-committed": ("trading.orders", "send", BEFORE),
    "about-to-send": ("trading.exchanges.roostoo", "Roostoo.place", BEFORE),
    "answered": ("trading.exchanges.roostoo", "Roostoo.place", AFTER),
    "withdrawing": ("trading.exchanges.roostoo", "Roostoo.cancel", BEFORE),  # what rests, also to re-quote it
    "withdrawn": ("trading.exchanges.roostoo", "Roostoo.cancel", AFTER),
    "booking": ("trading.books", "enter", BEFORE),  # in the transaction of fill and ledger
    "booked": ("trading.books", "book", AFTER),
    "settling": ("trading.settle", "resolve", BEFORE),
    "orders-read": ("trading.settle", "matching", AFTER),
    "comparing": ("trading.reconciliation", "compare", BEFORE),
    "opening-books": ("trading.reconciliation", "open_books", AFTER),
    "stopping": ("trading.sessions", "_stop", BEFORE),
}
VENUE = {
    "venue-before-journal": ("market.sandbox.store", "Store.append", BEFORE),
    "venue-after-journal": ("market.sandbox.store", "Store.append", AFTER),
}
WEB = {
    "web-key-claimed": ("market.web.idempotency", "_claim", AFTER),
    "web-before-row": ("trading.services.start", "write_session", BEFORE),
    "web-after-row": ("trading.services.start", "write_session", AFTER),
    "web-changing": ("trading.services.control", "_change", BEFORE),
    "web-changed": ("trading.services.control", "_change", AFTER),
}
SUPERVISOR = {"driver-sent-for": ("trading.runner.supervisor", "enqueue_lost_sessions", AFTER)}
POINTS = WORKER | VENUE | WEB | SUPERVISOR


def passed(label, folder=None):
    """Take note that a process is at a point, and do to it what is wanted there."""
    folder = folder or os.environ["CHAOS_POINTS"]
    for count in range(1, MOST_PASSAGES + 1):
        armed = os.path.join(folder, f"{label}.{count}")
        if not os.path.exists(armed):
            continue
        left = os.path.join(folder, f"{label}.{count - 1}" if count > 1 else f"{label}.struck")
        try:
            os.rename(armed, left)
        except FileNotFoundError:  # another process passed first
            return
        if count == 1:
            _act(Path(left))
        return


def _act(struck):
    wanted = struck.read_text()
    struck.with_suffix(".pid").write_text(str(os.getpid()))
    # To this thread: sent to the process, another thread may take it and this one runs on for a while.
    signal.pthread_kill(threading.get_ident(), signal.SIGKILL if wanted == KILL else signal.SIGSTOP)


def wrapped(function, label, when):
    """Return `function` with a point before it, or after it however it ends."""

    @functools.wraps(function)
    def at_a_point(*arguments, **named):
        if when == BEFORE:
            passed(label)
        try:
            return function(*arguments, **named)
        finally:
            if when == AFTER:
                passed(label)

    return at_a_point


def patch(module):
    """Wrap the functions of a freshly imported module that carry points."""
    for label, (name, path, when) in POINTS.items():
        if name == module.__name__:
            owner, attribute = find(module, path)
            setattr(owner, attribute, wrapped(getattr(owner, attribute), label, when))


def find(module, path):
    """Return (owner, attribute) of a dotted path in a module."""
    *parents, attribute = path.split(".")
    return functools.reduce(getattr, parents, module), attribute


class Patching(Loader):
    """Loads a module as its own loader does, then patches it."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        patch(module)

    def __getattr__(self, name):
        return getattr(self._loader, name)


class Finder(MetaPathFinder):
    """Finds modules that carry points before the ordinary finders do."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in {name for name, _, _ in POINTS.values()}:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None:
            spec.loader = Patching(spec.loader)
        return spec


def install():
    sys.meta_path.insert(0, Finder())


def resolve(label):
    """Return the function behind a label; raises when the product has none of that name any more."""
    name, path, _ = POINTS[label]
    owner, attribute = find(importlib.import_module(name), path)
    return getattr(owner, attribute)
