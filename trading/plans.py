"""Keep a plan's sessions at its weights: level their money, and say what each should hold.

Each session owns the share of the plan's equity that its pair's weight is of all weights. What cash it has
beyond that goes to sessions that have too little; one that has too much in its coin sells, so that its cash
can go there at the next look. Money moves between our books of sessions on one account only: the venue knows
nothing of it, and the sum stays the same to the cent.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from decimal import ROUND_FLOOR, Decimal

from django.db import transaction

from market.kernel import portfolio
from market.web import audit
from trading import caps
from trading.books import coins
from trading.models import EquityPoint, LiveSession, Order, PlanPoint, PortfolioPlan
from trading.models.order import HELD_BACK, UNSETTLED
from trading.numbers import exact
from trading.purse import CENT

ZERO = Decimal(0)
MARKS = ("capital", "cash", "day_equity", "week_equity", "peak_equity", "caution_peak")


@transaction.atomic
def level(session: LiveSession, follows: Callable[[LiveSession, Decimal], bool]) -> Decimal | None:
    """Return the equity of `session`'s plan, having seen to its money; None unless all sessions are at work.

    Cash moves between all of them only if `session` gets some and trades with it: a share that is a few cents
    off is nothing to act upon. Nothing moves to or from a session that has an order under way.

    :param follows: says of (`session` with the money, equity of the plan) whether an order would follow
    """
    plan = session.plan
    assert plan is not None  # noqa: S101  for the type checker: the caller looks
    caps.caps_over(session)  # locked before the sessions
    rows = LiveSession.objects.select_for_update(no_key=True).driven()
    members = list(rows.filter(plan=plan).order_by("pk"))
    if len(members) < len(plan.weights) or not all(row.started_ms and row.price for row in members):
        return None
    under_way = Order.objects.filter(session__in=members, status__in=[*UNSETTLED, *HELD_BACK])
    busy = set(under_way.values_list("session_id", flat=True))
    money = {row.pk: (row.cash, portfolio.equity(row.cash, row.held, row.price)) for row in members}
    moves = moves_between(money, {row.pk: exact(plan.weights[row.pair]) for row in members}, busy)
    total = sum((equity for _, equity in money.values()), ZERO)
    if (amount := moves.get(session.pk, ZERO)) > 0:
        richer = copy(session)
        _add(richer, amount)
        if follows(richer, total):
            move(plan, members, moves)
    return total


def move(plan: PortfolioPlan, members: Iterable[LiveSession], moves: Mapping[int, Decimal]) -> None:
    """Move money between a plan's sessions, and put on record who got and gave what. Call with them locked.

    :param moves: {session: what it gets (or gives, below 0)}, quote currency; the sum is 0
    """
    moved = {}
    for row in members:
        if amount := moves.get(row.pk):
            row.save(update_fields=_add(row, amount))
            moved[f"session {row.pk} {row.pair}"] = f"{amount:+f} {coins(row.pair)[1]}"
    if moved:
        audit.record(None, "plan.level", plan, moved=moved)


def _add(row: LiveSession, amount: Decimal) -> list[str]:
    """Add money to a session's books, storing nothing; return the names of what has changed."""
    names = [*MARKS, "top_equity"] if row.top_equity else [*MARKS]
    for name in names:
        setattr(row, name, getattr(row, name) + amount)
    return names


def mark(session: LiveSession, at_ms: int) -> None:
    """Mark the plan of `session` at the close of a bar once all its sessions have been, by their own points.

    Their profits are summed, not their equities: money may have moved between two of them since the first
    was marked.
    """
    assert session.plan_id is not None  # noqa: S101  for the type checker: the caller looks
    rows = EquityPoint.objects.filter(session__plan=session.plan_id, at_ms=at_ms, capital__isnull=False)
    points = list(rows.values_list("equity", "cash", "capital"))
    members = LiveSession.objects.filter(plan=session.plan_id)
    given = [capital for capital in members.values_list("capital", flat=True) if capital is not None]
    if len(points) < len(given):
        return
    moved = sum(given, ZERO) - sum((before or ZERO for _, _, before in points), ZERO)
    equity = sum((worth for worth, _, _ in points), moved)
    cash = sum((free for _, free, _ in points), moved)
    with transaction.atomic():
        plan = PortfolioPlan.objects.select_for_update(no_key=True).get(pk=session.plan_id)
        store_point(plan, at_ms, equity, cash)
        plan.save(update_fields=["peak_equity"])


def store_point(plan: PortfolioPlan, at_ms: int, equity: Decimal, cash: Decimal) -> None:
    """Store a plan's equity at an instant of the venue's clock; its new peak is the caller's to save."""
    plan.peak_equity = max(plan.peak_equity, equity)
    drawdown = float(1 - equity / plan.peak_equity) if plan.peak_equity > 0 else 0.0
    facts = {"equity": equity, "cash": cash, "drawdown": drawdown}
    PlanPoint.objects.get_or_create(plan=plan, at_ms=at_ms, defaults=facts)


def with_capital(session: LiveSession, points: list[tuple]) -> list[tuple]:
    """Return equity points, whose last column is the capital given by then, as far as it is on record.

    Only a plan's sessions have had another capital than they have now.
    """
    if session.plan_id is not None:
        return [point for point in points if point[-1] is not None]
    given = session.capital or Decimal(0)
    return [(*point[:-1], given if point[-1] is None else point[-1]) for point in points]


def wish(session: LiveSession, total: Decimal) -> float | None:
    """Return the exposure a plan's session should have, of its own equity; None to keep what it holds.

    :param total: equity of the whole plan
    """
    plan, own = session.plan, portfolio.equity(session.cash, session.held, session.price)
    assert plan is not None  # noqa: S101  for the type checker: the caller looks
    weight = exact(plan.weights[session.pair])
    if total <= 0 or own <= 0 or abs(session.held * session.price / total - weight) <= exact(plan.band):
        return None
    return float(min(Decimal(1), weight * total / own))


def moves_between(
    money: dict[int, tuple[Decimal, Decimal]], weights: dict[int, Decimal], busy: set[int]
) -> dict[int, Decimal]:
    """Return what each session gets (or gives, below 0) in whole cents; the sum is 0.

    :param money: {session: (cash, equity)}; nobody gives more cash than it has
    """
    total, share = sum(equity for _, equity in money.values()), sum(weights.values())
    surplus = {pk: equity - total * weights[pk] / share for pk, (_, equity) in money.items()}
    gives = {
        pk: min(over, money[pk][0]).quantize(CENT, ROUND_FLOOR)
        for pk, over in surplus.items()
        if over > CENT and money[pk][0] > CENT and pk not in busy
    }
    moves: dict[int, Decimal] = dict.fromkeys(money, Decimal(0))
    for pk, over in surplus.items():
        need = (-over).quantize(CENT, ROUND_FLOOR)
        if need < CENT or pk in busy:
            continue
        for giver in gives:
            part = min(need, gives[giver])
            gives[giver] -= part
            moves[giver] -= part
            moves[pk] += part
            need -= part
    return moves
