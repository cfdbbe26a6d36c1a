"""The account of a model's plan: what all its sessions own together."""

from collections.abc import Collection, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from market.kernel import portfolio
from market.kernel.basket import account_row
from trading import plans, risk
from trading.models import LiveSession, Order, PortfolioPlan
from trading.models.order import HELD_BACK, UNSETTLED
from trading.purse import CENT

ZERO = Decimal(0)


def members_of(plan: PortfolioPlan, *, is_locked: bool = False) -> list[LiveSession]:
    """Return a plan's sessions in the order of its pairs.

    :param is_locked: until the transaction ends; nobody books or levels meanwhile
    """
    rows = LiveSession.objects.filter(plan=plan).order_by("pk")
    return list(rows.select_for_update(no_key=True) if is_locked else rows)


def leader_of(members: Sequence[LiveSession]) -> LiveSession | None:
    """Return the session that decides for all: the first one at work."""
    return next((row for row in members if row.is_driven), None)


def have_begun(members: Sequence[LiveSession]) -> bool:
    return bool(members) and all(row.started_ms and row.price for row in members)


def equity_of(members: Sequence[LiveSession]) -> Decimal:
    """Return what the sessions are worth at the last prices at which they could have left."""
    return sum((portfolio.equity(row.cash, row.held, risk.last_exit_price(row)) for row in members), ZERO)


def equity_around(session: LiveSession, price: Decimal) -> Decimal:
    """Return the equity that limits on orders are shares of: a session's own, of a model's plan all of it.

    :param price: of the session's pair
    """
    own = portfolio.equity(session.cash, session.held, price)
    if not session.is_weighed:
        return own
    assert session.plan is not None  # noqa: S101  for the type checker: it is weighed
    return own + equity_of([row for row in members_of(session.plan) if row.pk != session.pk])


def seen(
    members: Sequence[LiveSession], peak: Decimal, closes: Sequence[float]
) -> tuple[float, list[float], list[float]]:
    """Return cash, holdings, and the account's part of the observation, all as floats.

    :param closes: of each pair, in the order of `members`
    """
    cash = float(sum((row.cash for row in members), ZERO))
    held, entry = [float(row.held) for row in members], [float(row.entry_price) for row in members]
    found = [0.0] * (2 * len(held) + 2)
    account_row(cash, held, entry, float(peak), closes, found, 0)
    return cash, held, found


def busy_of(members: Collection[LiveSession]) -> set[int]:
    """Return the sessions that have an order under way, or one that waits for a person."""
    under_way = Order.objects.filter(session__in=members, status__in=[*UNSETTLED, *HELD_BACK])
    return set(under_way.values_list("session_id", flat=True))


def spare_of(members: Sequence[LiveSession], buyer: LiveSession) -> dict[int, Decimal]:
    """Return the cash, in whole cents, that each session but the buyer can give.

    That of one that has failed is not kept for it: somebody else may have it by now.
    """
    busy = busy_of(members)
    return {
        row.pk: max(row.cash, ZERO).quantize(CENT, ROUND_FLOOR)
        for row in members
        if row.pk != buyer.pk and row.pk not in busy and row.is_driven
    }


def moves_to(buyer: int, lack: Decimal, spare: dict[int, Decimal]) -> dict[int, Decimal]:
    """Return what each session gets (or gives, below 0) so that the buyer lacks nothing; the sum is 0.

    :param spare: {session: cash it can give, in whole cents}; who has most gives first
    """
    left, moves = max(lack, ZERO).quantize(CENT, ROUND_CEILING), dict[int, Decimal]()
    for pk, most in sorted(spare.items(), key=lambda item: (-item[1], item[0])):
        if (part := min(most, left)) > 0:
            moves[pk], left = -part, left - part
    return moves | {buyer: -sum(moves.values(), ZERO)} if moves else {}


def fund(members: Sequence[LiveSession], buyer: LiveSession, need: Decimal) -> None:
    """Move what the buyer lacks of `need` to it from the others. Call with all members locked."""
    assert buyer.plan is not None  # noqa: S101  for the type checker: members belong to a plan
    plans.move(buyer.plan, members, moves_to(buyer.pk, need - buyer.cash, spare_of(members, buyer)))
