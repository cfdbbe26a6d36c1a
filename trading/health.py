"""Is a session's model, or are a council's models, still used within what they were trained and validated on?

Measured every few decisions over the latest ones and kept on the row, where a breaker reads it. What
cannot be measured is None: too few decisions, a fixed rule, a model from before its inputs were kept.
Of a council the entropy is that of its models' mean probabilities, whichever way votes count; PSI and KS are
those of the model that strays furthest, each over its own columns; turnover is held against the council's
newest backtest.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from django.db.models import QuerySet

from agents import artefacts
from agents.models import Backtest, JobStatus, TrainedModel
from agents.policies.council import Council
from agents.policies.port import Policy
from market.errors import BadInput
from market.kernel import health
from trading.models import Fill, LiveSession

LOOKED_AT = 128  # latest decisions
LEAST = 64  # fewer say nothing
EVERY = 8  # decisions between two measurements
DAY_MS = 86_400_000


class Reference(NamedTuple):
    """The inputs that one model was trained on, and where they lie in a session's feature rows."""

    edges: np.ndarray  # (bins - 1, F)
    shares: np.ndarray  # (bins, F)
    columns: np.ndarray | None = None  # (F,) of a council's rows; None: the whole row


class Health:
    """The latest decisions of one session, and the inputs its models were trained on."""

    def __init__(self, references: Sequence[Reference] = (), voices: frozenset[str] = frozenset()) -> None:
        """:param voices: names of a council's members that are models"""
        self.references, self.voices = tuple(references), voices
        # One block that is as large from the first decision on: hundreds of sessions must not grow for days.
        self._rows = np.empty((LOOKED_AT, 0))  # inputs (n, F)
        self._entropy = np.full(LOOKED_AT, -1.0)  # share of the largest possible; -1: no probabilities
        self.count = self.kept = 0

    @classmethod
    def of(cls, session: LiveSession, policy: Policy) -> "Health":
        """Return what a fresh driver needs: the latest decisions are read back from their rows."""
        made = cls(references_of(session, policy), voices_of(session))
        if made.is_watching(session):
            rows = session.decisions.filter(model_hash=policy.policy_hash)
            seen = rows.values_list("probabilities", "features", "votes")[:LOOKED_AT]
            for probabilities, row, votes in reversed(list(seen)):
                made._take(made.said(session, probabilities, votes), row)
        return made

    def is_watching(self, session: LiveSession) -> bool:
        """Say whether there is a model to watch; fixed rules have no health."""
        return session.model_id is not None or bool(self.voices)

    def see(
        self,
        session: LiveSession,
        probabilities: Sequence[float],
        row: Sequence[float],
        votes: dict[str, Any] | None = None,
    ) -> None:
        """Take in one decision; every few of them measure anew into `session.health`.

        :param votes: of a council or team, as a decision stores them
        """
        if not self.is_watching(session):
            return
        self._take(self.said(session, probabilities, votes or {}), row)
        self.count += 1
        if self.count % EVERY == 0:
            session.health = {**self.measured(), "turnover": turnover_of(session)}

    def said(
        self, session: LiveSession, probabilities: Sequence[float], votes: dict[str, Any]
    ) -> Sequence[float]:
        """Return the probabilities that the models gave; none where none of them could be asked."""
        cast = [vote for vote in votes.get("votes", []) if vote["vote"]]
        if session.council_id is None:
            return [] if votes and not cast else probabilities
        heard = [vote for vote in cast if vote["member"] in self.voices and vote["weight"] > 0]
        if not heard:
            return []
        weights = [vote["weight"] for vote in heard]
        return np.average([vote["probabilities"] for vote in heard], axis=0, weights=weights).tolist()

    def _take(self, probabilities: Sequence[float], row: Sequence[float]) -> None:
        if len(row) != self._rows.shape[1]:
            self._rows, self.kept = np.full((LOOKED_AT, len(row)), np.nan), 0
        place = self.kept % LOOKED_AT
        self._rows[place], self._entropy[place] = row, health.entropy_share([probabilities])
        self.kept += 1

    def measured(self) -> dict[str, float | None]:
        """Return entropy of the actions, PSI and KS of the inputs (medians over a model's features)."""
        nothing: dict[str, float | None] = {"entropy": None, "psi": None, "ks": None}
        if self.kept < LEAST:
            return nothing
        rows, entropy = self._rows[: self.kept], self._entropy[: self.kept]
        known = entropy[entropy >= 0]
        found = nothing | {"entropy": round(float(known.mean()), 4) if len(known) else None}
        strays = [stray for one in self.references if (stray := stray_of(one, rows)) is not None]
        if not strays:
            return found
        psi, ks = (max(values) for values in zip(*strays, strict=True))
        return found | {"psi": round(psi, 4), "ks": round(ks, 4)}


def stray_of(reference: Reference, rows: np.ndarray) -> tuple[float, float] | None:
    """Return (PSI, KS) of a model's inputs (n, F) as medians over its features; None for other columns."""
    own = rows if reference.columns is None else rows[:, reference.columns]
    if own.shape[1:] != reference.edges.shape[1:]:
        return None
    now = health.shares_of(own, reference.edges)
    psi, ks = health.psi(reference.shares, now), health.ks(reference.shares, now)
    return float(np.median(psi)), float(np.median(ks))


def references_of(session: LiveSession, policy: Policy) -> list[Reference]:
    """Return the training inputs of every model that is asked, where they were kept."""
    if session.model is not None:
        return [Reference(*kept)] if (kept := inputs_kept(session.model)) else []
    if session.council is None or not isinstance(policy, Council):
        return []
    models = {row.name: row.model for row in session.council.members.select_related("model") if row.model}
    found = []
    for member, columns in zip(policy.members, policy.columns, strict=True):
        kept = inputs_kept(models[member.name]) if member.name in models else None
        if kept is not None:
            found.append(Reference(*kept, columns))
    return found


def voices_of(session: LiveSession) -> frozenset[str]:
    """Return the names of a council's members that are models."""
    if session.council is None:
        return frozenset()
    return frozenset(row.name for row in session.council.members.all() if row.model_id is not None)


def inputs_kept(model: TrainedModel) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (edges, shares) of a model's training inputs; None when they were not kept."""
    try:
        inputs = artefacts.card_of(model).get("inputs")
    except BadInput:  # whoever loads the policy says what is wrong with the files
        return None
    return None if inputs is None else (np.array(inputs["edges"]), np.array(inputs["shares"]))


def turnover_of(session: LiveSession) -> float | None:
    """Return the turnover of the last 24 hours as a multiple of the validated one per day."""
    equity = float(session.cash + session.held * session.price)
    return turnover(session.fills.all(), session.price_ms, equity, _validated(session))


def turnover(fills: QuerySet[Fill], now_ms: int, equity: float, validated: dict[str, Any]) -> float | None:
    """Return what was traded in the 24 hours before an instant, as a multiple of the validated turnover."""
    usual = validated.get("turnover_per_day")
    if not usual or equity <= 0:
        return None
    done = fills.filter(filled_ms__gt=now_ms - DAY_MS).values_list("quantity", "price")
    notional = float(sum(abs(quantity * price) for quantity, price in done))
    return round(notional / equity / usual, 4)


def _validated(session: LiveSession) -> dict[str, Any]:
    """Return the metrics of the model's validation backtest, or of the council's newest one."""
    if session.model is not None:
        return session.model.metrics
    made = Backtest.objects.filter(council=session.council_id, status=JobStatus.DONE)
    newest = made.filter(series__interval_ms=session.interval_ms).order_by("-id").first()
    return newest.metrics if newest else {}
