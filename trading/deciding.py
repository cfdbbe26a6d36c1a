"""At the close of a bar: the same observation and decision path as in training and backtests."""

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from django.db import transaction

from market.kernel import portfolio
from market.sources.port import SourceUnavailable
from trading import caps, contest, entry, haste, legs, plans, positions, risk, states, waiting, working
from trading.acting import carry_out
from trading.away import catch_up, was_open
from trading.exchanges.port import Quote
from trading.health import Health
from trading.models import Decision, LiveSession, RiskState, SessionStatus
from trading.seat import Seat
from trading.states import reload, save_marks, unknown


def follow_bars(seat: Seat, quote: Quote, now_ms: int) -> bool:
    """Take in the bars that have closed, mark the equity at each, and decide on the newest.

    False when the bars are unknown.

    :raises TooFewBars: when there is too little history to warm the features up.
    """
    session, feed = seat.session, seat.feed
    try:
        closed = feed.advance(now_ms)
    except SourceUnavailable as error:
        unknown(seat, error.message)
        return False
    after_ms = max(session.last_bar_ms, session.started_ms - 2 * session.interval_ms)
    if not closed or closed[-1] <= after_ms:
        return True
    bar_ms = closed[-1]
    catch_up(session, feed.market, bar_ms)
    marked = close_bar(session, bar_ms, seat.last_close)
    session.last_bar_ms = bar_ms
    if positions.needs_atr(session.risk):
        session.atr = Decimal(repr(feed.average_range(session.risk.atr_bars)))
    is_newest = bar_ms == feed.newest_closed_ms(now_ms)
    is_ready = is_newest and feed.shown.is_warm and not session.is_weighed
    if is_shared := session.plan_id is not None and not session.is_weighed:
        states.store_point(marked)
        plans.mark(session, marked["at_ms"])
    if is_ready and wants_decision(seat, bar_ms):
        if is_shared:
            _level(seat, quote, now_ms)
        decide(seat, quote, bar_ms, now_ms, marked)
    else:
        states.store_point(marked)
        save_marks(session)
    return True


def _level(seat: Seat, quote: Quote, now_ms: int) -> None:
    """Share out the money of a portfolio plan if its session is about to trade with some of it."""
    session = seat.session

    def follows(richer: LiveSession, total: Decimal) -> bool:
        sized = size_wish(replace(seat, session=richer), plans.wish(richer, total), quote, now_ms)
        quantity, _ = caps.fitted(richer, sized.quantity, sized.price, seat.instrument)
        return quantity > 0 and risk.can_be_sent(quantity, sized.price, seat.instrument)

    save_marks(session)
    seat.plan_equity = plans.level(session, follows)
    reload(session)


def _planned(seat: Seat, quote: Quote, now_ms: int) -> risk.Sized:
    """Size what the portfolio plan asks of its session; the session's own rule only gives the rhythm."""
    if seat.plan_equity is None:
        return risk.nothing(quote, "the plan waits until all its sessions are at work")
    target = plans.wish(seat.session, seat.plan_equity)
    sized = size_wish(seat, target, quote, now_ms)
    if target is None:
        return sized
    asked = f"the plan asks for {target:.1%} of this session's equity"
    return sized._replace(reason="; ".join(filter(None, (asked, sized.reason))))


def close_bar(session: LiveSession, open_ms: int, close: Decimal) -> dict[str, Any]:
    """Mark the session at a bar's close, as the environment does at its bars; return the point to store."""
    close_ms = open_ms + session.interval_ms
    bars_held, session.peak_equity = at_close(session, close)
    # One that was never counted may have opened behind the close, before anybody looked at the bar.
    if session.held == 0 or session.bars_held > 0 or was_open(session, close_ms):
        session.bars_held = bars_held
    return states.marked(session, close_ms, close)


def at_close(session: LiveSession, close: Decimal) -> tuple[int, Decimal]:
    """Return (bars held, peak equity) once a bar has closed, of a position that was open by then."""
    equity = portfolio.equity(session.cash, session.held, close)
    return session.bars_held + (session.held != 0), max(session.peak_equity, equity)


def wants_decision(seat: Seat, bar_ms: int) -> bool:
    session = seat.session
    return session.status == SessionStatus.RUNNING and seat.decider.is_due(bar_ms, session.interval_ms)


def decide(seat: Seat, quote: Quote, bar_ms: int, now_ms: int, marked: dict[str, Any]) -> None:
    """Ask the policy, size its wish, commit decision and intent together, then send.

    :param marked: the equity point of the bar's close, stored with the decision
    """
    session, seen = seat.session, seat.feed.shown
    started = time.perf_counter_ns()
    close = float(seen.closes[-1])
    scale = seat.decider.needs.bars_scale
    row = portfolio_row(session, close, scale, session.bars_held, session.peak_equity)
    decided = seat.decider.decide(seen.rows, seen.closes, row, row[0])
    room = working.make_room(seat, decided.target)
    if room.refusal:
        sized = risk.nothing(quote, room.refusal)
    elif session.plan_id is not None:
        sized = _planned(seat, quote, now_ms)
    else:
        conviction = seat.decider.conviction(decided.opinion)
        sized = size_wish(seat, decided.target, quote, now_ms, conviction)
    latency_us = (time.perf_counter_ns() - started) // 1000
    opinion, tally = decided.opinion, decided.opinion.tally
    if sized.quantity == 0:
        seat.exchange.keep()  # a decision is written under our lease, order or not; thinking may have waited
    with seat.exchange.required() if sized.quantity != 0 else transaction.atomic():
        states.store_point(marked)
        sized, turns_to = legs.split(seat, capped(seat, sized, quote, now_ms))
        decision = Decision(
            session=session,
            bar_ms=bar_ms,
            decided_ms=now_ms,
            price=Decimal(repr(close)),
            action=opinion.name,
            target=decided.target,
            probabilities=list(opinion.probabilities),
            value=opinion.value,
            confidence=opinion.confidence,
            gate_reason=(decided.gate_reason or (tally.note if tally else ""))[:200],
            risk_reason=sized.reason[:200],
            turns_to=turns_to,
            sized=None if sized.target is None else float(sized.target),
            atr=float(session.atr) if positions.needs_atr(session.risk) else None,
            atr_bars=session.risk.atr_bars,
            features=seen.rows[-1].tolist(),
            portfolio=list(decided.portfolio),
            votes=tally.to_dict() if tally else {},
            warm_from_ms=seen.warm_from_ms,
            observation_hash=decided.observation_hash,
            model_hash=seat.decider.policy.policy_hash,
            latency_us=latency_us,
        )
        _see_health(seat, decision)  # before it is stored: a fresh driver reads the stored ones back
        states.store_decision(decision)
        save_marks(session)
        reason = f"signal {opinion.name}"
        order = working.begin(seat, sized.quantity, sized.price, reason, now_ms, decision, room)
    carry_out(seat, order, quote)
    working.work(seat, quote, now_ms)
    states.tell_left_out(seat, tally.failures if tally else {})


def size_wish(
    seat: Seat, target: float | None, quote: Quote, now_ms: int, conviction: float | None = None
) -> risk.Sized:
    """Size a wish.

    :param conviction: the policy's probability of buying; None says that the target is a size already
    """
    session = seat.session
    if target is None:
        return risk.nothing(quote, "")
    if session.risk_state == RiskState.HALTED:
        return risk.nothing(quote, "the session is halted: a person must resume it")
    trades = working.trades_today(session, now_ms) if session.risk.max_trades_per_day else 0
    seen = entry.of_seat(seat, quote, now_ms=now_ms, trades_today=trades)
    sized = risk.size(
        session, target, quote, seat.instrument, trades_today=trades, entry=seen,
        conviction=conviction or 0.0, band=seat.decider.band, is_sized=conviction is None,
    )  # fmt: skip
    return contest.within_budget(seat, sized, now_ms)


def capped(seat: Seat, sized: risk.Sized, quote: Quote, now_ms: int) -> risk.Sized:
    """Cut an order to what the caps over several sessions leave, and its price's age by now.

    Call inside the intent's transaction.
    """
    session = seat.session
    if sized.quantity != 0 and (why := entry.too_old(seat, quote, now_ms)):
        sized = risk.exits_only(sized, session, seat.instrument, why)
    quantity = sized.quantity
    if session.plan_id and not LiveSession.objects.filter(pk=session.pk, capital=session.capital).exists():
        return risk.Sized(
            Decimal(0), sized.price, "money has moved in the plan: the next decision goes by it"
        )
    if (
        quantity != 0
        and not waiting.is_exit(session, quantity)
        and seat.may_wait
        and not _closes_first(seat, quantity, sized.price)
        and waiting.held_back(session)
    ):
        return risk.Sized(Decimal(0), sized.price, "an order waits for a person's approval")
    quantity, why = caps.fitted(session, quantity, sized.price, seat.instrument)
    reason = "; ".join(words for words in (sized.reason, why) if words)
    if quantity != 0 and not risk.can_be_sent(quantity, sized.price, seat.instrument):
        quantity = Decimal(0)
    is_asked = waiting.is_needed(session, quantity, sized.price)
    is_asked = is_asked and not _closes_first(seat, quantity, sized.price)
    if is_asked and (no := waiting.rejected_lately(session, quantity)):
        return risk.Sized(Decimal(0), sized.price, no)
    return sized._replace(quantity=quantity, reason=reason)


def _closes_first(seat: Seat, quantity: Decimal, price: Decimal) -> bool:
    """Say whether a wish leaves a position before it enters another one: that waits for nobody."""
    return legs.first_leg(seat.session, quantity, price, seat.instrument).is_closing


def _see_health(seat: Seat, decision: Decision) -> None:
    seat.health = seat.health or Health.of(seat.session, seat.decider.policy)
    seat.health.see(seat.session, decision.probabilities, decision.features, decision.votes)


class Foreseen(NamedTuple):
    """What a session is about to ask its network, and who wants to hear the answer."""

    observation: np.ndarray
    hear: Callable[[list[float], float], None]  # takes the network's output and value


def foreseen(seat: Seat) -> Foreseen | None:
    """Return what the session is about to decide on, once a bar; None where that is not known.

    It is what `close_bar` and `decide` will come to unless something happens before: a guess that costs
    nothing when it is wrong. The answer says whether the session is about to trade, see `haste`.
    """
    session, ahead = seat.session, seat.feed.ahead
    if ahead is None or not ahead.is_warm or ahead.open_ms[-1] <= max(seat.foreseen_ms, session.last_bar_ms):
        return None
    seat.foreseen_ms, seat.foretold = ahead.open_ms[-1], haste.UNKNOWN
    if not wants_decision(seat, ahead.open_ms[-1]):
        return None
    close = float(ahead.closes[-1])
    bars_held, peak_equity = at_close(session, Decimal(repr(close)))
    row = portfolio_row(session, close, seat.decider.needs.bars_scale, bars_held, peak_equity)
    asked = seat.decider.observed(ahead.rows, row)

    def hear(output: list[float], value: float) -> None:
        target = seat.decider.foretold(asked, output, value, ahead.closes, row[0])
        seat.foretold = haste.of_wish(target, row[0])

    return Foreseen(asked, hear)


def portfolio_row(
    session: LiveSession, close: float, bars_scale: float, bars_held: int, peak_equity: Decimal
) -> tuple[float, ...]:
    """Return the portfolio part of the observation at a close: the books, turned into floats once, here."""
    held = float(session.held)
    return portfolio.portfolio_row(
        float(session.cash),
        held,
        float(session.entry_price) if held else 0.0,  # nobody asks at what price nothing was bought
        float(bars_held),
        float(peak_equity),
        close,
        bars_scale,
    )
