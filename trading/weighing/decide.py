"""At the close of a bar that all pairs have: the model's weights, by the observation of its training.

Only the plan's first session at work decides, under its own lease. What keeps it from deciding is stored at
once; the decision takes its place if that is over before the next bar closes.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
from django.db import transaction

from agents.decide import falls_due
from agents.observation import observation_hash, observe_basket
from market.errors import BadInput
from market.kernel.basket import basket_worth, wanted_orders
from trading import plans, states
from trading.bars import TooFewBars
from trading.models import LiveSession, PlanDecision, PortfolioPlan, RiskState, SessionStatus
from trading.models.order import UNSETTLED
from trading.seat import Seat
from trading.weighing import watch
from trading.weighing.books import leader_of, members_of, seen
from trading.weighing.health import measured
from trading.weighing.mind import Mind, mind_of


def watch_over_all(seat: Seat, now_ms: int) -> None:
    """Watch the limits over the whole plan, on every turn of the session that decides for it."""
    plan = plan_of(seat.session)
    members = members_of(plan)
    leader = leader_of(members)
    if leader is None or leader.pk != seat.session.pk:
        return
    watch.look(plan, members, seat.session.risk, now_ms)
    after = LiveSession.objects.values("risk_state", "note", "safe_until_ms").get(pk=seat.session.pk)
    for name, value in after.items():
        setattr(seat.session, name, value)


def decide_for_all(seat: Seat, now_ms: int) -> None:
    """Mark the newest bar once all pairs have it, and have the model decide where that is due."""
    session, plan = seat.session, plan_of(seat.session)
    members = members_of(plan)
    leader = leader_of(members)
    if leader is None or leader.pk != session.pk:
        return
    bar_ms = seat.feed.newest_closed_ms(now_ms)
    is_due = falls_due(plan.every, bar_ms, plan.interval_ms)
    is_made = plan.last_bar_ms >= bar_ms and (not is_due or _is_made(plan, bar_ms))
    if is_made or not all(row.started_ms for row in members):
        return
    try:
        rows, closes = _window(seat, plan, members, bar_ms, now_ms)
        _mark_bar(plan, members, bar_ms, closes)
        _require_free(members)
    except Holds as reason:
        if is_due:
            hold(seat, plan, members, bar_ms, now_ms, str(reason))
        return
    if is_due:
        _decide(seat, plan, members, rows, closes, bar_ms, now_ms)


class Holds(Exception):
    """Nothing can be decided on the bar now; the text says why."""


def _window(
    seat: Seat, plan: PortfolioPlan, members: Sequence[LiveSession], bar_ms: int, now_ms: int
) -> tuple[np.ndarray, list[float]]:
    """Return the rows that the model sees of a bar, float64 (W, k * F), and the closes of all pairs.

    :raises Holds: while they are not all there, or the model cannot be loaded any more.
    """
    if missing := _missing(plan, members, bar_ms):
        raise Holds(missing)
    try:
        mind = _mind(seat, plan, members)
        failed = mind.advance(now_ms)
    except (BadInput, TooFewBars) as error:
        states.tell_left_out(seat, {plan.name: str(error)})
        raise Holds(str(error)) from error
    states.tell_left_out(seat, {})
    if failed:
        raise Holds("; ".join(f"{pair}: {why}" for pair, why in failed.items()))
    rows, closes = mind.rows(bar_ms), mind.closes(bar_ms)
    if rows is None or closes is None:
        raise Holds("too few bars that all pairs have: the model's window is not full")
    return rows, closes


def plan_of(session: LiveSession) -> PortfolioPlan:
    assert session.plan is not None  # noqa: S101  for the type checker: the session is weighed
    return session.plan


def _is_made(plan: PortfolioPlan, bar_ms: int) -> bool:
    return PlanDecision.objects.filter(plan=plan, bar_ms=bar_ms, is_made=True).exists()


def _mind(seat: Seat, plan: PortfolioPlan, members: Sequence[LiveSession]) -> Mind:
    if seat.mind is None:
        assert plan.model is not None  # noqa: S101  for the type checker: the session is weighed
        seat.mind = mind_of(
            plan.model,
            account=seat.session.account,
            pairs=[row.pair for row in members],
            source=seat.feed.feed.source,
        )
    return seat.mind


def _missing(plan: PortfolioPlan, members: Sequence[LiveSession], bar_ms: int) -> str:
    """Return which pair's bar is not there yet, or an empty string. No price is ever made up for it."""
    closed = datetime.fromtimestamp((bar_ms + plan.interval_ms) / 1000, UTC)
    late = [row.pair for row in members if row.last_bar_ms < bar_ms]
    if not late:
        return ""
    return f"no bar of {' and '.join(late)} yet that closed at {closed:%Y-%m-%d %H:%M:%S} UTC"


def _require_free(members: Sequence[LiveSession]) -> None:
    """:raises Holds: when no weights may be traded towards now"""
    for row in members:
        if row.status != SessionStatus.RUNNING:
            raise Holds(
                f"the session of {row.pair} is {row.status}: a plan trades with all of them or not at all"
            )
        if row.risk_state in (RiskState.REDUCING, RiskState.HALTED):
            raise Holds(f"the session of {row.pair} is {row.risk_state}: {row.note}")
    open_orders = members[0].account.orders.filter(session__in=members, status__in=UNSETTLED)
    if order := open_orders.order_by("pk").first():
        raise Holds(f"an order of {order.pair} is not settled yet")


def _mark_bar(
    plan: PortfolioPlan, members: Sequence[LiveSession], bar_ms: int, closes: Sequence[float]
) -> None:
    """Mark the account at the closes, as the environment does at its bars."""
    if plan.last_bar_ms >= bar_ms:
        return
    equity, cash = worth(members, closes), sum((row.cash for row in members), Decimal(0))
    with transaction.atomic():
        plans.store_point(plan, bar_ms + plan.interval_ms, equity, cash)
        plan.last_bar_ms = bar_ms
        plan.save(update_fields=["peak_equity", "last_bar_ms"])


def worth(members: Sequence[LiveSession], closes: Sequence[float]) -> Decimal:
    """Return the equity of all sessions at given prices."""
    cash, held = sum((row.cash for row in members), Decimal(0)), [row.held for row in members]
    return basket_worth(cash, held, [Decimal(repr(close)) for close in closes])


def hold(
    seat: Seat, plan: PortfolioPlan, members: Sequence[LiveSession], bar_ms: int, now_ms: int, why: str
) -> None:
    """Store why nothing is decided on a bar, once per reason."""
    facts = {"decided_ms": now_ms, "reason": why[:300], "pairs": [row.pair for row in members]}
    row = PlanDecision.objects.filter(plan=plan, bar_ms=bar_ms).first()
    if row is not None and row.reason == facts["reason"]:
        return
    seat.exchange.keep()  # written under our lease
    PlanDecision.objects.update_or_create(plan=plan, bar_ms=bar_ms, is_made=False, defaults=facts)


def _decide(
    seat: Seat,
    plan: PortfolioPlan,
    members: Sequence[LiveSession],
    rows: np.ndarray,
    closes: list[float],
    bar_ms: int,
    now_ms: int,
) -> None:
    """Ask the model and store the weights; each session trades its own pair towards them."""
    started, mind = time.perf_counter_ns(), _mind(seat, plan, members)
    cash, held, account = seen(members, plan.peak_equity, closes)
    observation = observe_basket(mind.policy.observation.scaler.transform(rows), account)
    top = float(seat.session.risk.max_exposure)
    weighed = mind.weigh(observation, top)
    orders = [0] * len(held)
    wanted_orders(weighed.weights, cash, held, closes, plan.band, orders)
    equity = basket_worth(cash, held, closes)
    sides = [
        (1 if weight * equity > own * close else -1) if is_wanted else 0
        for is_wanted, weight, own, close in zip(orders, weighed.weights, held, closes, strict=True)
    ]
    latency_us = (time.perf_counter_ns() - started) // 1000
    pairs = [row.pair for row in members]
    seat.exchange.keep()  # a decision is written under our lease; thinking may have taken a while
    facts = {
        "decided_ms": now_ms,
        "is_made": True,
        "reason": "" if any(sides) else "every weight is within the band of the one held",
        "pairs": pairs,
        "weights": list(weighed.weights),
        "held": account[: 2 * len(pairs) : 2],
        "sides": sides,
        "wishes": list(weighed.wishes),
        "top": top,
        "value": weighed.value,
        "equity": worth(members, closes),
        "closes": closes,
        "features": rows[-1].tolist(),
        "account": account,
        "warm_from_ms": mind.warm_from_ms,
        "observation_hash": observation_hash(observation),
        "model_hash": mind.policy.policy_hash,
        "latency_us": latency_us,
    }
    with transaction.atomic():
        PlanDecision.objects.update_or_create(plan=plan, bar_ms=bar_ms, is_made=False, defaults=facts)
        plan.weights = dict(zip(pairs, weighed.weights, strict=True))
        plan.health = measured(plan, mind.policy.policy_hash, facts["equity"], now_ms)
        plan.save(update_fields=["weights", "health"])
