"""What a model's inputs looked like where it learned: kept with it, so that live inputs can be compared."""

from typing import Any

from agents.evaluation.data import Prepared
from market.kernel.health import quantile_bins

MOST_ROWS = 100_000  # more change no quantile that matters


def inputs_of(prepared: Prepared) -> dict[str, Any]:
    """Return quantile bins of the raw features of the training part: `edges` (9, F) and `shares` (10, F)."""
    rows = prepared.rows[prepared.split.train_from : prepared.split.train_to]
    edges, shares = quantile_bins(rows[:: max(1, len(rows) // MOST_ROWS)])
    return {"edges": edges.tolist(), "shares": shares.tolist()}
