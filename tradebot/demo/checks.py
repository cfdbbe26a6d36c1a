"""What `make smoke` proves: the fresh agent decided and traded, and everybody shows the same books."""

import json
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import requests
from knox.models import AuthToken

from tradebot.demo.processes import DemoError
from trading import services as live
from trading.models import Holding, OrderStatus, SessionStatus

if TYPE_CHECKING:
    from tradebot.demo.show import Show

WAIT_S = 90.0


def run(show: "Show", started: float) -> int:
    """Check the chain and print one JSON line.

    :raises DemoError: with the first thing that does not hold.
    """
    session = show.session
    _until("an order filled through the live worker", show, lambda: _filled(show) > 0)
    live.stop_session(session=session, by=show.user)
    _until("the session stopped", show, lambda: _status(show) == SessionStatus.STOPPED)
    books = _compare_books(show)
    equity = _compare_equity(show)
    session.refresh_from_db()
    training = show.model.run
    report = {
        "ok": True,
        "seconds": {**show.progress.seconds, "total": round(time.monotonic() - started, 2)},
        "training_steps": training.steps_done if training else None,
        "training_fps": training.fps if training else None,
        "model": show.model.pk,
        "session": session.pk,
        "decisions": session.decisions.count(),
        "orders_filled": _filled(show),
        "books": books,
        "equity": equity,
    }
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


def _until(what: str, show: "Show", holds: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not holds():
        show._require_children()
        if time.monotonic() > until:
            show.session.refresh_from_db()
            raise DemoError(f"not within {WAIT_S:.0f} s: {what} ({show.session.status}: {show.session.note})")
        time.sleep(0.2)


def _filled(show: "Show") -> int:
    return show.session.orders.filter(status=OrderStatus.FILLED, decision__isnull=False).count()


def _status(show: "Show") -> str:
    show.session.refresh_from_db()
    return show.session.status


def _compare_books(show: "Show") -> dict[str, str]:
    """Compare our ledger with the sandbox's, to the last digit."""
    url = f"{show.account.base_url}/sandbox/state"
    theirs = _ledger_of(requests.get(url, timeout=10).json(), show.account.api_key)
    ours = {row.coin: row.quantity for row in Holding.objects.filter(account=show.account) if row.quantity}
    if ours != theirs:
        raise DemoError(f"the books differ: ours {ours}, the sandbox's {theirs}")
    return {coin: format(amount, "f") for coin, amount in ours.items()}


def _ledger_of(state: dict[str, Any], key: str) -> dict[str, Decimal]:
    """Return coin -> free and locked together, unrounded."""
    purses = state["accounts"][key]["purses"]
    sums = {coin: Decimal(p["free"]) + Decimal(p["pending_orders"]) for coin, p in purses.items()}
    return {coin: amount for coin, amount in sums.items() if amount}


def _compare_equity(show: "Show") -> str:
    """Fetch the session by REST and as a page; both must show the equity of the last stored point."""
    base = f"http://127.0.0.1:{show.port}"
    _, token = AuthToken.objects.create(user=show.user)
    answer = requests.get(
        f"{base}/api/v1/sessions/{show.session.pk}/", headers={"Authorization": f"Token {token}"}, timeout=10
    )
    if answer.status_code != 200:
        raise DemoError(
            f"the REST endpoint of the session answered {answer.status_code}: {answer.text[:200]}"
        )
    equity = answer.json()["equity"]
    browser = requests.Session()
    browser.get(f"{base}/login/", timeout=10)
    form = {
        "username": show.user.username,
        "password": show.password,
        "csrfmiddlewaretoken": browser.cookies["csrftoken"],
    }
    browser.post(f"{base}/login/", data=form, headers={"Referer": f"{base}/login/"}, timeout=10)
    page = browser.get(f"{base}/sessions/{show.session.pk}/", timeout=10)
    if page.status_code != 200 or f'data-equity="{equity}"' not in page.text:
        raise DemoError(f"the session page does not show the equity {equity} that the REST endpoint gives")
    return equity
