"""Is a session's model still used within what it was trained and validated on?

Measured every few decisions over the latest ones and kept on the row, where a breaker reads it. What
cannot be measured is None: too few decisions, a fixed rule, a model from before its inputs were kept.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents import artefacts
from market.errors import BadInput
from market.kernel import health
from trading.models import LiveSession

LOOKED_AT = 128  # latest decisions
LEAST = 64  # fewer say nothing
EVERY = 8  # decisions between two measurements
DAY_MS = 86_400_000


class Health:
    """The latest decisions of one session, and the inputs its model was trained on."""

    def __init__(self, inputs: dict[str, Any] | None) -> None:
        self.edges = self.shares = None
        if inputs is not None:
            self.edges, self.shares = np.array(inputs["edges"]), np.array(inputs["shares"])
        # One block that is as large from the first decision on: hundreds of sessions must not grow for days.
        self._rows = np.empty((LOOKED_AT, 0))  # inputs (n, F)
        self._entropy = np.full(LOOKED_AT, -1.0)  # share of the largest possible; -1: no probabilities
        self.count = self.kept = 0

    @classmethod
    def of(cls, session: LiveSession) -> "Health":
        """Return what a fresh driver needs: the latest decisions are read back from their rows."""
        made = cls(inputs_of(session))
        if session.model_id is not None:
            rows = session.decisions.values_list("probabilities", "features")[:LOOKED_AT]
            for probabilities, row in reversed(list(rows)):
                made._take(probabilities, row)
        return made

    def see(self, session: LiveSession, probabilities: Sequence[float], row: Sequence[float]) -> None:
        """Take in one decision; every few of them measure anew into `session.health`."""
        if session.model_id is None:
            return
        self._take(probabilities, row)
        self.count += 1
        if self.count % EVERY == 0:
            session.health = {**self.measured(), "turnover": turnover_of(session)}

    def _take(self, probabilities: Sequence[float], row: Sequence[float]) -> None:
        if len(row) != self._rows.shape[1]:
            self._rows, self.kept = np.full((LOOKED_AT, len(row)), np.nan), 0
        place = self.kept % LOOKED_AT
        self._rows[place], self._entropy[place] = row, health.entropy_share([probabilities])
        self.kept += 1

    def measured(self) -> dict[str, float | None]:
        """Return entropy of the actions, PSI and KS of the inputs (medians over the features)."""
        nothing: dict[str, float | None] = {"entropy": None, "psi": None, "ks": None}
        if self.kept < LEAST:
            return nothing
        rows, entropy = self._rows[: self.kept], self._entropy[: self.kept]
        known = entropy[entropy >= 0]
        found = nothing | {"entropy": round(float(known.mean()), 4) if len(known) else None}
        if self.edges is None or self.shares is None or rows.shape[1:] != self.edges.shape[1:]:
            return found
        now = health.shares_of(rows, self.edges)
        psi, ks = health.psi(self.shares, now), health.ks(self.shares, now)
        return found | {"psi": round(float(np.median(psi)), 4), "ks": round(float(np.median(ks)), 4)}


def inputs_of(session: LiveSession) -> dict[str, Any] | None:
    """Return the distribution of the model's training inputs; None when it was not kept."""
    if session.model is None:
        return None
    try:
        return artefacts.card_of(session.model).get("inputs")
    except BadInput:  # whoever loads the policy says what is wrong with the files
        return None


def turnover_of(session: LiveSession) -> float | None:
    """Return the turnover of the last 24 hours as a multiple of the validation backtest's per day."""
    validated = (session.model.metrics if session.model else {}).get("turnover_per_day")
    equity = float(session.cash + session.held * session.price)
    if not validated or equity <= 0:
        return None
    fills = session.fills.filter(filled_ms__gt=session.price_ms - DAY_MS).values_list("quantity", "price")
    notional = float(sum(abs(quantity * price) for quantity, price in fills))
    return round(notional / equity / validated, 4)
