"""Start and stop portfolio plans. Their sessions are ordinary ones: seen, paused, stopped like any other."""

import math
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from django.db import IntegrityError, transaction

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from trading.models import Account, LiveSession, PortfolioPlan, RiskProfile
from trading.purse import CENT
from trading.services.control import stop_session
from trading.services.start import prepared_session, write_session

MOST_PAIRS = 30
RULE = "target_weight"


def start_plan(
    *,
    owner: Any,
    name: str,
    account: Account,
    weights: dict[str, Any],
    capital: Decimal,
    interval: str = "1h",
    band: float = 0.05,
    every: int = 1,
    risk: RiskProfile | None = None,
    by: Any = None,
) -> PortfolioPlan:
    """Write down that a portfolio is wanted: one session per pair, all of them or none.

    :param weights: {pair: share of equity}; together at most 1, the rest stays in cash
    :param band: how far a pair's share may stray (0.05: five points) before it is traded back
    :param every: bars of `interval` between two looks
    :raises BadInput: one sentence about the first thing that does not fit, nothing is written.
    """
    name, shares = " ".join(name.split()), _weights(weights)
    if not 1 <= len(name) <= 80:
        raise BadInput("give the plan a name of at most 80 characters", field="name")
    if not 0 <= band <= 0.5:
        raise BadInput("the band must be between 0 and 0.5 (0.05 is five points)", field="band")
    total = sum(shares.values())
    settings = {"share": round(total, 9), "band": band, "every": every}
    common: dict[str, Any] = {"owner": owner, "account": account, "interval": interval, "risk": risk}
    common |= {"baseline": RULE, "settings": settings}
    first = next(iter(shares))
    whole = prepared_session(**common, pair=first, capital=capital)  # all of the money must be there
    assert whole.capital is not None  # noqa: S101  for the type checker: it was given
    rows = []
    for pair, share in shares.items():
        part = (whole.capital * Decimal(repr(share)) / Decimal(repr(total))).quantize(CENT, ROUND_FLOOR)
        rows.append(prepared_session(**common, pair=pair, capital=part, name=f"{name}: {pair}"))
    return _write(
        PortfolioPlan(
            owner=owner, name=name, account=account, risk=whole.risk, weights=shares, band=band,
            interval_ms=whole.interval_ms, every=every, capital=whole.capital,
        ),
        rows,
        by,
    )  # fmt: skip


@transaction.atomic
def stop_plan(*, plan: PortfolioPlan, flatten: bool = False, by: Any = None) -> int:
    """Stop every session of a plan; return how many were asked to stop.

    :raises Conflict: when all of them have ended already.
    """
    sessions = list(LiveSession.objects.driven().filter(plan=plan))
    if not sessions:
        raise Conflict(f"the plan {plan} has stopped already", field="plan")
    count = 0
    for session in sessions:
        try:
            stop_session(session=session, flatten=flatten, by=by)
        except Conflict:  # it ended by itself meanwhile
            continue
        count += 1
    _audit(plan, "plan.stop", by, flatten=flatten)
    return count


def _weights(weights: dict[str, Any]) -> dict[str, float]:
    """Return checked weights by pair. :raises BadInput: for shares that cannot be held"""
    shares: dict[str, float] = {}
    for pair, value in weights.items():
        is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not 0 < value <= 1:
            raise BadInput(
                f"the weight of {pair} must be above 0 and at most 1, not {value!r}", field="weights"
            )
        shares[str(pair).strip().upper()] = float(value)
    if not 1 <= len(shares) <= MOST_PAIRS or len(shares) < len(weights):
        raise BadInput(f"give 1 to {MOST_PAIRS} different pairs with their weights", field="weights")
    if len({pair.rpartition("/")[2] for pair in shares}) > 1:
        raise BadInput("all pairs of a plan must have the same quote currency", field="weights")
    if sum(shares.values()) > 1 + 1e-9:
        raise BadInput(
            f"the weights add up to {sum(shares.values()):.4g}: at most 1 is there", field="weights"
        )
    return shares


@transaction.atomic
def _write(plan: PortfolioPlan, rows: list[LiveSession], by: Any) -> PortfolioPlan:
    try:
        with transaction.atomic():
            plan.save()
    except IntegrityError:
        raise Conflict(f"you have a plan called {plan.name} already", field="name") from None
    for row in rows:
        row.plan = plan
        write_session(row, by)
    _audit(plan, "plan.start", by, weights=plan.weights, capital=str(plan.capital))
    return plan


def _audit(plan: PortfolioPlan, action: str, by: Any, **detail: Any) -> None:
    AuditEvent.objects.create(
        actor=by, owner=plan.owner, action=action, object_type="portfolioplan", object_id=str(plan.pk),
        detail=detail,
    )  # fmt: skip
