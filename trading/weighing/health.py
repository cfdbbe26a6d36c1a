"""Is a plan's model still used within what it was trained and validated on?

As of a session, see `trading.health`, but over the plan's decisions: inputs of all pairs side by side, the
turnover of all its sessions. Weights have no action probabilities, so there is no entropy to collapse.
"""

from decimal import Decimal

import numpy as np

from trading.health import LEAST, LOOKED_AT, Reference, inputs_kept, stray_of, turnover
from trading.models import Fill, PortfolioPlan


def measured(plan: PortfolioPlan, model_hash: str, equity: Decimal, now_ms: int) -> dict[str, float | None]:
    """Return PSI and KS of the inputs (medians over the features) and turnover; None: not known.

    :param equity: of all sessions, quote currency
    """
    assert plan.model is not None  # noqa: S101  for the type checker: a model decides
    fills = Fill.objects.filter(session__plan=plan)
    traded = turnover(fills, now_ms, float(equity), plan.model.metrics)
    found: dict[str, float | None] = {"entropy": None, "psi": None, "ks": None, "turnover": traded}
    made = plan.decisions.filter(is_made=True, model_hash=model_hash)
    rows = list(made.values_list("features", flat=True)[:LOOKED_AT])
    kept = inputs_kept(plan.model)
    if kept is None or len(rows) < LEAST or len({len(row) for row in rows}) > 1:
        return found
    stray = stray_of(Reference(*kept), np.array(rows, dtype=np.float64))
    return found if stray is None else found | {"psi": round(stray[0], 4), "ks": round(stray[1], 4)}
