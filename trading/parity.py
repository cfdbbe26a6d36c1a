"""Does the recorded market lead to the recorded decisions? The live path is replayed from stored bars."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from agents.decide import Decided, Decider
from agents.policies import Policy
from market.candles import Candles
from market.features import compute
from market.plans import average_true_range
from trading.agent import decider_of
from trading.bars import stored_bars
from trading.models import Decision, LiveSession
from trading.numbers import is_same_answer
from trading.weighing import replay

OTHER = "the model is another one than the one that decided"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One decision that came out differently, and where it first differs."""

    bar_ms: int
    what: str

    def as_dict(self) -> dict[str, Any]:
        return {"bar_ms": self.bar_ms, "what": self.what}


@dataclass(frozen=True, slots=True)
class Unrepeated(Mismatch):
    """One decision that cannot be made again: others could be asked then than can be asked now."""


@dataclass(frozen=True, slots=True)
class Parity:
    """What a replay found."""

    decisions: int
    mismatches: list[Mismatch]
    unrepeated: list[Mismatch] = field(default_factory=list)  # those that could not be replayed

    @property
    def repeated(self) -> int:
        return self.decisions - len(self.mismatches) - len(self.unrepeated)

    @property
    def is_equal(self) -> bool:
        return self.repeated > 0 and not self.mismatches


def verify(session: LiveSession) -> Parity:
    """Replay every decision of a session: observation, action and model must be equal, bit for bit.

    A council replays without the members that cannot be loaded now: what they voted on is left unrepeated.
    Probabilities and votes are compared as `trading.numbers.is_same_answer` does.

    Of a session whose plan's model decides for all of them, the plan's decisions are replayed.

    :raises BadInput: when the session's model cannot be loaded any more.
    """
    if session.plan is not None and session.is_weighed:
        made = replay.made_of(session.plan)
        wrong = [Mismatch(bar_ms, what) for bar_ms, what in replay.differences(session.plan, made)]
        return Parity(len(made), sorted(wrong, key=lambda mismatch: mismatch.bar_ms))
    decider = decider_of(session)
    decisions = list(session.decisions.order_by("warm_from_ms", "bar_ms"))
    found: list[Mismatch] = []
    for warm_from_ms, group in groupby(decisions, key=lambda decision: decision.warm_from_ms):
        found += _replayed(session, decider, warm_from_ms, list(group))
    found.sort(key=lambda mismatch: mismatch.bar_ms)
    differing = [one for one in found if not isinstance(one, Unrepeated)]
    return Parity(len(decisions), differing, [one for one in found if isinstance(one, Unrepeated)])


def _replayed(
    session: LiveSession, decider: Decider, warm_from_ms: int, decisions: list[Decision]
) -> Iterator[Mismatch]:
    """Compute the features of a backtest over the recorded bars and decide again wherever the session did."""
    market = session.account.bars(with_volume=decider.needs.feature_set.needs_volume)
    bars = stored_bars(market, session.pair, session.interval_ms, warm_from_ms, decisions[-1].bar_ms)
    rows = compute(bars, decider.needs.feature_set)
    position = {int(open_ms): at for at, open_ms in enumerate(bars.open_ms)}
    window, closes = decider.needs.window, decider.closes_needed
    for decision in decisions:
        if decision.model_hash != decider.policy.policy_hash:
            who = _who_differs(decision, decider.policy)
            yield Unrepeated(decision.bar_ms, who) if who else Mismatch(decision.bar_ms, OTHER)
            continue
        at = position.get(decision.bar_ms)
        if at is None or at + 1 < window or np.isnan(rows[at + 1 - window]).any():
            yield Mismatch(decision.bar_ms, "its bars are not on record")
            continue
        row = tuple(float(value) for value in decision.portfolio)
        decided = decider.decide(rows[at + 1 - window : at + 1], bars.close[: at + 1][-closes:], row, row[0])
        what = _difference(decision, decider, decided, rows[at])
        what = what or _range_difference(decision, bars[: at + 1])
        if what:
            yield Mismatch(decision.bar_ms, what)


def _difference(decision: Decision, decider: Decider, decided: Decided, row: np.ndarray) -> str:
    """Return what differs first, or an empty string."""
    if decision.observation_hash != decided.observation_hash:
        return f"the observation, first in {_first_wrong(decision, decider, row)}"
    replayed = decided.opinion.tally.to_dict() if decided.opinion.tally else {}
    if not is_same_answer(decision.votes, replayed):
        return _first_vote(decision.votes, replayed)
    same = (decision.action, decision.target) == (decided.opinion.name, decided.target)
    if not same or not is_same_answer(decision.probabilities, decided.opinion.probabilities):
        return f"the action: {decision.action} live, {decided.opinion.name} replayed"
    return ""


def _who_differs(decision: Decision, policy: Policy) -> str:
    """Return who voted then and cannot be asked now, or the other way round, and why; empty: nobody."""
    failed = {vote["member"]: vote["failure"] for vote in decision.votes.get("votes", []) if vote["failure"]}
    absent = {one.name: one.reason for one in getattr(policy, "absent", ())}
    gone = [f"{name} cannot be asked now: {why}" for name, why in absent.items() if name not in failed]
    back = [f"{name} could not be asked then: {why}" for name, why in failed.items() if name not in absent]
    return "; ".join([*gone, *back])


def _first_vote(live: dict[str, Any], again: dict[str, Any]) -> str:
    """Return whose vote differs first."""
    pairs = zip(live.get("votes", []), again.get("votes", []), strict=False)
    for one, other in pairs:
        if not is_same_answer(one, other):
            said, now = one["vote"] or "none", other["vote"] or "none"
            return f"the vote of {one['member']}: {said} live, {now} replayed"
    return "the votes of the council"


def _range_difference(decision: Decision, bars: Candles) -> str:
    """Return how the average true range it was sized with differs from that of the bars closed by then."""
    count, live = decision.atr_bars, decision.atr
    if not live or len(bars) <= count:
        return ""
    newest = bars[len(bars) - count - 1 :]
    again = float(average_true_range(newest.high, newest.low, newest.close, count)[-1])
    return "" if again == live else f"the average true range ({live!r} live, {again!r} replayed)"


def _first_wrong(decision: Decision, decider: Decider, row: np.ndarray) -> str:
    """Return the name of the first feature of the decision's bar that differs."""
    pairs = zip(decider.needs.feature_set.names, decision.features, row.tolist(), strict=False)
    return next(
        (f"{name} ({live!r} live, {again!r} replayed)" for name, live, again in pairs if live != again),
        "an older bar of its window",
    )
