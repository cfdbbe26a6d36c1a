"""One session of a model's plan trades its pair towards the weight it was given, once per decision.

Sells go at once. A buy waits until every sell of the decision is proven and every earlier buy is written
down; then what it lacks in cash comes from the other sessions, in the transaction that writes its intent.
The session's own decision on the bar, written in that transaction, is what says that its part is done.
"""

from collections.abc import Sequence
from decimal import Decimal

from django.db import transaction

from market.kernel import breakers
from market.kernel.basket import basket_worth
from market.kernel.rebalance import quantity_towards
from trading import caps, entry, risk, waiting, working
from trading.acting import carry_out, intend
from trading.exchanges.port import Quote
from trading.models import Decision, LiveSession, PlanDecision, PortfolioPlan, RiskState, SessionStatus
from trading.numbers import exact
from trading.purse import needed
from trading.seat import Seat
from trading.states import reload, save_marks
from trading.weighing.books import busy_of, fund, members_of, spare_of
from trading.weighing.decide import plan_of

ZERO = Decimal(0)
SIDES = {1: "BUY", -1: "SELL", 0: "HOLD"}


def take_part(seat: Seat, quote: Quote, now_ms: int) -> None:
    """Take the session's part in the newest decision, if it has not yet and its turn has come."""
    session = seat.session
    if session.status != SessionStatus.RUNNING:
        return
    plan = plan_of(session)
    made = PlanDecision.objects.filter(plan=plan, is_made=True).first()
    if made is None or made.bar_ms <= seat.acted_ms:
        return
    if session.decisions.filter(bar_ms=made.bar_ms).exists():
        seat.acted_ms = made.bar_ms
        return
    side = made.sides[made.pairs.index(session.pair)]
    is_turn = side <= 0 or _is_turn(made, members_of(plan), session)
    if is_turn or now_ms >= until_ms(made, plan):
        _carry(seat, made, side, quote, now_ms)


def until_ms(made: PlanDecision, plan: PortfolioPlan) -> int:
    """Return when the next decision falls due: what is left of this one is then dropped."""
    return made.bar_ms + (1 + plan.every) * plan.interval_ms


def _is_turn(made: PlanDecision, members: Sequence[LiveSession], buyer: LiveSession) -> bool:
    """Say whether all sells are proven and all earlier buys are written down."""
    sides = dict(zip(made.pairs, made.sides, strict=True))
    sellers = [row for row in members if sides[row.pair] < 0]
    before = [row for row in members if row.pk < buyer.pk and sides[row.pair] > 0]
    first = {row.pk for row in (*sellers, *before)}
    done = Decision.objects.filter(session__in=first, bar_ms=made.bar_ms).count()
    return done == len(first) and not busy_of(sellers)


def _carry(seat: Seat, made: PlanDecision, side: int, quote: Quote, now_ms: int) -> None:
    session, plan = seat.session, plan_of(seat.session)
    place = made.pairs.index(session.pair)
    reason, order = "", None
    save_marks(session)
    seat.exchange.require() if side else seat.exchange.keep()
    with transaction.atomic():
        caps.caps_over(session)  # locked before the sessions
        members = members_of(plan, is_locked=True)
        reload(session)
        sized = risk.nothing(quote, "")
        if side and now_ms >= until_ms(made, plan):
            sized = risk.nothing(quote, "the next decision is due: what is left of this one is dropped")
        elif side:
            sized = size(seat, members, made.weights[place], side, quote, now_ms)
        if sized.quantity > 0:
            notional = sized.quantity * sized.price
            fund(members, session, needed(notional, seat.instrument.taker_fee, risk.HEADROOM))
            reload(session)
        features = len(made.features) // len(made.pairs)
        decision = Decision.objects.create(
            session=session,
            bar_ms=made.bar_ms,
            decided_ms=now_ms,
            price=Decimal(repr(made.closes[place])),
            action=SIDES[side],
            target=made.weights[place],
            value=made.value,
            gate_reason="" if side else "the weight is within the band of the one held",
            risk_reason=sized.reason[:200],
            features=made.features[place * features : (place + 1) * features],
            warm_from_ms=made.warm_from_ms[place],
            observation_hash=made.observation_hash,
            model_hash=made.model_hash,
            latency_us=made.latency_us,
        )
        reason = f"weight {made.weights[place]:.1%} wanted, {made.held[place]:.1%} held"
        order = intend(seat, sized.quantity, sized.price, reason, now_ms, decision)
    seat.acted_ms = made.bar_ms
    carry_out(seat, order, quote)


def size(
    seat: Seat, members: Sequence[LiveSession], weight: float, side: int, quote: Quote, now_ms: int
) -> risk.Sized:
    """Return the order that brings the pair to its weight, by the backtest's rule, within all limits.

    Call with all members locked. Limits that are shares of equity are shares of the whole plan's.
    """
    session, instrument = seat.session, seat.instrument
    price = quote.ask if side > 0 else quote.bid
    others = [row for row in members if row.pk != session.pk]
    cash = session.cash + sum((row.cash for row in others), ZERO)
    worth = basket_worth(
        cash, [session.held, *(row.held for row in others)], [price, *(row.price for row in others)]
    )
    free = session.cash + sum(spare_of(members, session).values(), ZERO)
    quantity = quantity_towards(
        exact(weight), worth, max(free, ZERO) / (1 + risk.HEADROOM), session.held, price, instrument.step,
        instrument.min_notional, instrument.taker_fee, ZERO,
    )  # fmt: skip
    if quantity * side <= 0:
        return risk.Sized(ZERO, price, "nothing to trade: the weight is reached already", exact(weight))
    why = _refusal(seat, quote, now_ms) if side > 0 else ""
    allowed, code = breakers.limited_order(
        quantity, session.held, price, worth, risk.caps_of(session.risk), _state(session), not why,
        instrument.step, ZERO,
    )  # fmt: skip
    notes = [why or breakers.REASONS[code]] if allowed != quantity else []
    allowed, cut = caps.fitted(session, allowed, price, instrument)
    notes += [cut] if cut else []
    if allowed != 0 and not risk.can_be_sent(allowed, price, instrument):
        allowed = ZERO
        notes.append("what is left is too small for an order")
    if waiting.is_needed(session, allowed, price) and (no := waiting.rejected_lately(session, allowed)):
        allowed, notes = ZERO, [no]
    return risk.Sized(allowed, price, "; ".join(filter(None, notes)), exact(weight))


def _state(session: LiveSession) -> int:
    return breakers.STATES.index(str(session.risk_state))


def _refusal(seat: Seat, quote: Quote, now_ms: int) -> str:
    """Return why nothing may be bought now, or an empty string."""
    session = seat.session
    if session.risk_state in (RiskState.REDUCING, RiskState.HALTED):
        return f"the session is {session.risk_state}: exits only"
    if seat.may_wait and waiting.held_back(session):
        return "an order waits for a person's approval"
    trades = working.trades_today(session, now_ms) if session.risk.max_trades_per_day else 0
    seen = entry.of_seat(seat, quote, now_ms=now_ms, trades_today=trades)
    return entry.refusal(seen, session.risk)
