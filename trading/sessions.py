"""One turn of a live session. The venue's time comes in; there is no loop, no sleep and no wall clock here.

A turn settles what is unsettled, reads the quote, guards the stops and limits, and on a newly closed bar
decides. Start-up, recovery after a crash and an ordinary turn are this one path.
"""

import logging
from collections.abc import Collection
from decimal import Decimal

from django.db import transaction

from market.errors import BadInput
from market.kernel import portfolio
from trading import (
    alerts,
    approvals,
    breakers,
    contest,
    pace,
    positions,
    reconciliation,
    risk,
    settle,
    summaries,
    turning,
    waiting,
    working,
)
from trading.acting import leave, settled
from trading.bars import TooFewBars
from trading.books import coins
from trading.deciding import follow_bars
from trading.exchanges.errors import BadCredentials, ExchangeError
from trading.exchanges.port import Quote
from trading.guard import LeaseLost, require_key
from trading.locks import lock_account
from trading.models import AlertKind, AlertLevel, LiveSession, RiskState, SessionStatus
from trading.purse import booked, capital_of, resting
from trading.seat import Seat
from trading.states import (
    DRIVEN,
    PRICES,
    adopt,
    change_risk_state,
    change_status,
    close_alerts,
    fail,
    known,
    leave_dark,
    point,
    reload,
    save_marks,
    unknown,
)
from trading.weighing.act import take_part
from trading.weighing.decide import decide_for_all, watch_over_all

logger = logging.getLogger(__name__)

PASSING = ("unknown", "turns", "order", "pace", "risk", "council", "resting")  # that end with the session


def step(seat: Seat, *, quote: Quote | None, now_ms: int, row: LiveSession | None = None) -> None:
    """Take one turn.

    :param quote: what the venue showed for the session's pair just now; None when it showed nothing.
    :param now_ms: the venue's clock.
    :param row: the session as it was just read, with no unsettled order on its account; None: look here.
    :raises LeaseLost: when somebody else drives the session now.
    :raises KeyReplaced: when the venue must be connected anew.
    """
    session = seat.session
    seat.exchange.keep()
    if row is None:
        reload(session)
    else:
        adopt(session, row)
    if session.status not in DRIVEN:
        return
    seat.has_sent = False
    try:
        _take_turn(seat, quote, now_ms, is_settled=row is not None)
        if seat.wants_check and session.status in DRIVEN:  # behind the turn: no order waits for the wallet
            seat.wants_check = seat.is_checked = False  # where it fails, it comes before the next decision
            if not seat.has_sent:  # right behind an order a wallet may still be the one before it
                _compare(seat)
        seat.failures.append(False)
    except (BadCredentials, BadInput) as error:
        if isinstance(error, BadCredentials):
            require_key(session.account_id, seat.key_mark)
        working.withdraw_left(session, seat.exchange)
        fail(session, str(error), now_ms)
    except TooFewBars as error:
        if (
            session.last_bar_ms
        ):  # there were enough before: the source has answered in part, and is asked again
            _undecided(seat, str(error))
        else:
            fail(session, str(error), now_ms)
    except ExchangeError as error:
        seat.failures.append(True)
        _undecided(seat, str(error))


def step_unseen(seat: Seat, why: str) -> None:
    """Take a turn while the venue shows no prices at all: what rests is looked after all the same.

    :raises LeaseLost: when somebody else drives the session now.
    """
    session = seat.session
    seat.exchange.keep()
    reload(session)
    if session.status not in DRIVEN:
        return
    try:
        working.tend_unseen(seat, seat.exchange.now_ms())
    except ExchangeError as error:
        logger.info("session %s: %s", session.pk, error)
    _undecided(seat, why, of_venue=True)


def _take_turn(seat: Seat, quote: Quote | None, now_ms: int, *, is_settled: bool) -> None:
    session = seat.session
    if session.status == SessionStatus.STOPPING and session.started_ms == 0:
        _end(session)
        return
    if not (is_settled or _settle(seat)):
        _watch_plan(seat, now_ms)
        unknown(seat, "it is not known yet what became of an order")
        return
    if not seat.is_checked:  # the last driver may have died in the middle
        _note_least_order(seat)
        _compare(seat)
    if session.started_ms == 0 and not seat.is_checked:
        unknown(seat, "another order of the account is under way: what is free is not known yet")
        return
    if session.started_ms == 0 and not begin(seat, quote.at_ms if quote else now_ms):
        return
    if session.status == SessionStatus.PENDING:
        change_status(session, SessionStatus.PENDING, SessionStatus.RUNNING)
    why = risk.unusable(quote, now_ms, session.risk)
    if quote is None or why:
        working.tend_unseen(seat, now_ms)
        _watch_plan(seat, now_ms)
        _undecided(seat, why, of_venue=quote is not None and quote.is_still)
        return
    if _guard(seat, quote, now_ms):
        known(seat)


def _note_least_order(seat: Seat) -> None:
    """Keep the venue's rule for those who are shown what is held, and ask no venue."""
    session, least = seat.session, Decimal(seat.instrument.min_notional)
    if session.least_order != least:
        LiveSession.objects.filter(pk=session.pk).update(least_order=least)


def _compare(seat: Seat) -> None:
    """Compare the books of the account; `is_checked` says afterwards whether that could be done."""
    seat.is_checked = reconciliation.reconcile(seat.session.account, seat.exchange) is not None
    reload(seat.session)  # a position that was sold by hand is gone


def _watch_plan(seat: Seat, now_ms: int) -> None:
    """Watch the limits over a model's plan, whatever is unknown of this pair: the others go on without it."""
    if seat.session.is_weighed and seat.session.started_ms:
        watch_over_all(seat, now_ms)


def _undecided(seat: Seat, why: str, *, of_venue: bool = False) -> None:
    if not stop_unseen(seat.session):
        unknown(seat, why, of_venue=of_venue)


def stop_unseen(session: LiveSession) -> bool:
    """Stop a session that needs nothing of its venue any more, although the venue shows nothing now.

    Its books end at the last price it saw. False when a position is to be sold, or an order is unsettled: one
    that rests may still fill, and nobody would guard what it buys.
    """
    reload(session)
    if session.status != SessionStatus.STOPPING or settle.concerning(session).exists():
        return False
    if session.orders.unsettled().exists() or working.is_at_work(session):
        return False
    if session.flatten_wanted and session.held != 0:
        return False
    if session.price_ms:
        _stop(session, session.price_ms)
    else:
        _end(session)
    return session.status == SessionStatus.STOPPED


def _settle(seat: Seat) -> bool:
    session = seat.session
    if not settle.concerning(session).exists():
        return True
    is_settled = settle.settle(session, seat.exchange)
    settled(session)
    seat.is_checked = False
    return is_settled


def begin(seat: Seat, now_ms: int) -> bool:
    """Give a new session its capital from what is free in the account; False when it cannot start.

    :raises LeaseLost: when it was begun or ended by somebody else meanwhile.
    """
    session = seat.session
    _, coin = coins(session.pair)
    balances = seat.exchange.balances()
    free = balances[coin].free if coin in balances else Decimal(0)
    with transaction.atomic():
        lock_account(session.account_id)  # sessions share out one purse
        if not LiveSession.objects.driven().filter(pk=session.pk, started_ms=0).exists():
            raise LeaseLost(seat.lease.name)  # the wallet took so long that another driver has begun it
        try:
            # The wallet was read before the lock, and may show proceeds that our books do not know yet.
            free = min(free, booked(session) - resting(session))
            capital = capital_of(session, free, seat.instrument.min_notional)
        except BadInput as error:
            fail(session, error.message, now_ms)
            return False
        session.capital = session.cash = session.peak_equity = session.day_equity = capital
        session.week_equity = session.caution_peak = capital
        session.started_ms, session.day = now_ms, risk.day_of(now_ms)
        session.save(
            update_fields=["capital", "cash", "peak_equity", "day_equity", "week_equity", "caution_peak",
                           "started_ms", "day"]
        )  # fmt: skip
    logger.info("session %s starts with %s %s", session.pk, capital, coin)
    return True


def _guard(seat: Seat, quote: Quote, now_ms: int) -> bool:
    """Mark the session at a usable quote, leave where that must be, else follow the bars; False: unknown."""
    session = seat.session
    _mark(seat, quote, now_ms)
    if _is_over(session, now_ms) and change_status(
        session, session.status, SessionStatus.STOPPING, flatten_wanted=True
    ):
        logger.info("session %s: its time is over", session.pk)
    price = risk.exit_price(session.held, quote)
    is_flat = risk.is_flat(session, seat.instrument, price)
    is_out = is_flat and working.working(session) is None  # what rests may still open a position
    reason = ""
    if is_out:
        positions.rest(session, price)
    elif not is_flat:
        reason = positions.follow_price(session, price, seat.instrument)
    _watch_plan(seat, now_ms)
    _move_risk_state(seat, portfolio.equity(session.cash, session.held, price), is_out, now_ms)
    reason = _must_leave(session) or reason
    if reason or session.status != SessionStatus.RUNNING or session.risk_state != RiskState.ACTIVE:
        if not working.clear(seat, reason or f"{session.status}, risk {session.risk_state}"):
            save_marks(session)
            return True
        is_flat = risk.is_flat(session, seat.instrument, price)  # a part may have filled before the cancel
    else:
        working.work(seat, quote, now_ms)
    if reason and not is_flat:
        save_marks(session)
        leave(seat, quote, reason, now_ms)
    elif session.status == SessionStatus.STOPPING:
        save_marks(session)
        _stop(session, now_ms)
    elif not _follow(seat, quote, now_ms):
        return False
    else:
        turning.go_on(seat, quote, now_ms)
        contest.keep_active(seat, quote, now_ms)
    passing = {*PRICES, "high_water"} if is_out else PRICES  # a flat session's best price follows the price
    save_marks(session, passing=passing)
    return True


def _follow(seat: Seat, quote: Quote, now_ms: int) -> bool:
    """Go on with what waits for a person, then with the bars; False: unknown."""
    session = seat.session
    if seat.may_wait:
        trades = working.trades_today(session, now_ms) if session.risk.max_trades_per_day else 0
        approvals.follow(seat, quote, now_ms, trades)
    is_known = follow_bars(seat, quote, now_ms)
    if session.is_weighed:
        decide_for_all(seat, now_ms)
        if is_known:
            take_part(seat, quote, now_ms)
    return is_known


def _mark(seat: Seat, quote: Quote, now_ms: int) -> None:
    session = seat.session
    seat.feed.ticks.see(quote.last, quote.at_ms)
    pace.watch(seat, quote.at_ms)
    session.bid, session.ask, session.price, session.price_ms = quote.bid, quote.ask, quote.last, quote.at_ms
    if session.start_price == 0:
        session.start_price = quote.last
        point(session, min(session.started_ms, quote.at_ms) - 1, quote.last)  # before anything is traded
    today = risk.day_of(now_ms)
    if session.day is None or today > session.day:  # losses count from the first mark of day and week
        equity = portfolio.equity(session.cash, session.held, risk.exit_price(session.held, quote))
        if session.day is None or session.day.isocalendar()[:2] != today.isocalendar()[:2]:
            session.week_equity = equity
        session.day, session.day_equity = today, equity
    if now_ms >= seat.next_summary_ms:
        seat.next_summary_ms = summaries.close_days(session, now_ms)


def _is_over(session: LiveSession, now_ms: int) -> bool:
    if session.duration_s is None or session.status == SessionStatus.STOPPING:
        return False
    return now_ms >= session.started_ms + session.duration_s * 1000


def _must_leave(session: LiveSession) -> str:
    """Return why the whole position is to be closed whatever the price does, or an empty string."""
    if session.flatten_wanted:
        return "flatten"
    if session.risk_state == RiskState.REDUCING:
        return session.note or "loss limit"
    return ""


FOLLOWS = {
    RiskState.SAFE: "Until the cool-down is over it makes exits and tiny trades only",
    RiskState.REDUCING: "It leaves its position",
    RiskState.HALTED: "It is halted until a person resumes it",
}


def _move_risk_state(seat: Seat, equity: Decimal, is_flat: bool, now_ms: int) -> None:
    session = seat.session
    after = breakers.look(session, equity, is_flat=is_flat, now_ms=now_ms, error_share=seat.error_share)
    if after.state == session.risk_state:
        if "loss_streak" in after.spent:  # the others are marks, stored with the turn
            LiveSession.objects.filter(pk=session.pk, risk_state=after.state).update(**after.spent)
        return
    note = "" if after.state == RiskState.ACTIVE else after.reason or session.note
    if session.risk_state == RiskState.REDUCING:
        note = session.note or note  # what it left its position for, in the figures of then
    why = note or f"the cool-down of {session.risk.safe_cooldown_s:g} s is over ({session.note})"
    with transaction.atomic():
        if change_risk_state(session, after.state, note, reason=why, **after.spent):
            _tell_risk_state(session)


def _tell_risk_state(session: LiveSession) -> None:
    if session.risk_state == RiskState.ACTIVE:
        close_alerts(session, "risk")
        return
    level = AlertLevel.WARNING if session.risk_state == RiskState.SAFE else AlertLevel.CRITICAL
    text = f"{session}: {session.note}. {FOLLOWS[RiskState(session.risk_state)]}."
    kind = AlertKind.HALTED if session.risk_state == RiskState.HALTED else AlertKind.BREAKER
    alerts.raise_alert(session.owner, level, f"risk:{session.pk}", text, session, kind=kind)


def _stop(session: LiveSession, now_ms: int) -> None:
    """End a session whose orders are settled and, where that was asked for, whose position is closed."""
    waiting.drop(session, "the session has ended", now_ms)
    working.end_all(session, "the session has ended")
    point(session, now_ms, risk.last_exit_price(session))
    summaries.close_days(session, now_ms, is_end=True)
    _end(session, only=("flatten_wanted",), stopped_ms=now_ms)


@transaction.atomic
def _end(session: LiveSession, *, only: Collection[str] = (), **changes: object) -> None:
    """Let the session be stopped, and what was told of its doubts be over; see `change_status`."""
    before, after = SessionStatus.STOPPING, SessionStatus.STOPPED
    if change_status(session, before, after, only=only, flatten_wanted=False, **changes):
        close_alerts(session, *PASSING)
        leave_dark(session)
