"""Keep a plan's sessions at its weights: level their money, and say what each should hold.

Each session owns the share of the plan's equity that its pair's weight is of all weights. What cash it has
beyond that goes to sessions that have too little; one that has too much in its coin sells, so that its cash
can go there at the next look. Money moves between our books of sessions on one account only: the venue knows
nothing of it, and the sum stays the same to the cent.
"""

from decimal import ROUND_FLOOR, Decimal

from django.db import transaction

from market.kernel import portfolio
from market.models import AuditEvent
from trading.models import LiveSession, Order
from trading.models.order import HELD_BACK, UNSETTLED
from trading.numbers import exact
from trading.purse import CENT

MARKS = ("capital", "cash", "day_equity", "week_equity", "peak_equity", "caution_peak")


@transaction.atomic
def level(session: LiveSession) -> Decimal | None:
    """Move cash between the sessions of `session`'s plan; return their equity, None unless all are at work.

    Nothing moves to or from a session that has an order under way.
    """
    plan = session.plan
    assert plan is not None  # noqa: S101  for the type checker: the caller looks
    members = list(LiveSession.objects.select_for_update().driven().filter(plan=plan).order_by("pk"))
    if len(members) < len(plan.weights) or not all(row.started_ms and row.price for row in members):
        return None
    under_way = Order.objects.filter(session__in=members, status__in=[*UNSETTLED, *HELD_BACK])
    busy = set(under_way.values_list("session_id", flat=True))
    money = {row.pk: (row.cash, portfolio.equity(row.cash, row.held, row.price)) for row in members}
    moves = moves_between(money, {row.pk: exact(plan.weights[row.pair]) for row in members}, busy)
    for row in members:
        if amount := moves[row.pk]:
            give(row, amount)
    if moved := {str(pk): str(amount) for pk, amount in moves.items() if amount}:
        AuditEvent.objects.create(
            actor=None,
            owner=plan.owner,
            action="plan.level",
            object_type="portfolioplan",
            object_id=str(plan.pk),
            detail={"moved": moved},
        )
    return sum((equity for _, equity in money.values()), Decimal(0))


def give(row: LiveSession, amount: Decimal) -> None:
    """Move money into a session's books (out of them, below 0). Call with the row locked."""
    names = [*MARKS, "top_equity"] if row.top_equity else MARKS
    for name in names:
        setattr(row, name, getattr(row, name) + amount)
    row.save(update_fields=names)


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
