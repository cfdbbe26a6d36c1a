"""From votes to one decision. Pure: the order of the members never matters, nor does a weight of 0."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agents.policies.council.votes import SIDES, Shares, Vote
from agents.spaces import BUY, HOLD, SELL
from market.errors import BadInput
from market.kernel.rebalance import is_kept

METHODS = {
    "majority": "Each member has one voice; the side with most of them wins",
    "weighted": "Voices count by weight, a model's validated Sharpe unless another is given",
    "unanimity": "All must agree, else it holds",
    "veto": "As weighted, but one vote the other way stops anything that would enlarge the position",
}
COMBINES = {
    "votes": "each member's choice counts whole",
    "probabilities": "each member's probabilities are averaged",
}
TIE = 1e-9  # shares nearer than this are equal; then HOLD goes before BUY and BUY before SELL


@dataclass(frozen=True, slots=True)
class Voting:
    """How votes become a decision.

    :raises BadInput: for a method or combination that does not exist, or a quorum below 1
    """

    method: str = "majority"
    combine: str = "votes"
    quorum: int = 1  # members with a weight above 0 that must be able to vote

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise BadInput(f"method must be one of {', '.join(METHODS)}, not {self.method!r}", "method")
        if self.combine not in COMBINES:
            raise BadInput(f"combine must be one of {', '.join(COMBINES)}, not {self.combine!r}", "combine")
        if not isinstance(self.quorum, int) or isinstance(self.quorum, bool) or self.quorum < 1:
            raise BadInput("quorum must be a whole number from 1", "quorum")


class Outcome(NamedTuple):
    """What a council decides: a side, the combined shares of all sides, the exposure wanted."""

    side: int
    shares: Shares
    target: float | None  # None keeps what is held
    note: str


def combine(votes: Sequence[Vote], voting: Voting, exposure: float, band: float) -> Outcome:
    """Return the decision of these votes.

    :param exposure: share of equity held now, -1..1
    :param band: a target nearer than this to it keeps what is held, see `market.kernel.rebalance.is_kept`
    """
    present = [vote for vote in votes if vote.weight > 0 and vote.side is not None]
    if len(present) < voting.quorum or not present:
        note = f"{_members(len(present))} could vote and the quorum is {voting.quorum}, so the council holds"
        return Outcome(HOLD, (1.0, 0.0, 0.0), None, note)
    if voting.method == "majority":
        present = [vote._replace(weight=1.0) for vote in present]
    heard = present if voting.combine == "probabilities" else [vote.counted() for vote in present]
    shares = _shares(heard)
    if voting.method == "unanimity":
        return _unanimous(present, shares, exposure, band)
    side = _winner(shares)
    decided = Outcome(side, shares, _target(heard, side, exposure, band), "")
    return _vetoed(decided, present, exposure) if voting.method == "veto" else decided


def _shares(votes: Sequence[Vote]) -> Shares:
    """Return the weighted mean of the members' shares. `fsum` is exact: no order of terms shows."""
    whole = math.fsum(vote.weight for vote in votes)
    hold, buy, sell = (
        math.fsum(vote.weight * vote.shares[side] for vote in votes) / whole for side in (HOLD, BUY, SELL)
    )
    return hold, buy, sell


def _winner(shares: Shares) -> int:
    most = max(shares)
    return next(side for side in (HOLD, BUY, SELL) if shares[side] >= most - TIE)


def _target(votes: Sequence[Vote], side: int, exposure: float, band: float) -> float | None:
    """Return the mean exposure meant by the votes for a side, weighted by weight and probability."""
    if side == HOLD:
        return None
    meant = [
        (vote.weight * vote.shares[side], asked)
        for vote in votes
        if (asked := vote.asked[side - BUY]) is not None and vote.shares[side] > 0
    ]
    if not meant:
        return None
    low, high = min(asked for _, asked in meant), max(asked for _, asked in meant)
    whole = math.fsum(voice for voice, _ in meant)
    mean = math.fsum(voice * asked for voice, asked in meant) / whole
    target = min(max(mean, low), high)  # rounding never leaves the range of what was asked
    return None if target == exposure or is_kept(target, exposure, band) else target


def _unanimous(votes: Sequence[Vote], shares: Shares, exposure: float, band: float) -> Outcome:
    sides = {vote.side for vote in votes}
    if len(sides) > 1:
        said = ", ".join(SIDES[side] for side in sorted(side for side in sides if side is not None))
        return Outcome(HOLD, shares, None, f"no unanimity ({said}), so the council holds")
    side = votes[0].side or HOLD
    return Outcome(side, shares, _target([vote.counted() for vote in votes], side, exposure, band), "")


def _vetoed(decided: Outcome, votes: Sequence[Vote], exposure: float) -> Outcome:
    """Return the decision less what a member that voted the other way stops.

    A smaller position on the same side always passes; of a turn to the other side only the leaving does.
    """
    target = decided.target
    if target is None or (target * exposure >= 0 and abs(target) <= abs(exposure)):
        return decided
    against = SELL if target > exposure else BUY
    voices = sorted(vote.member for vote in votes if vote.side == against)
    if not voices:
        return decided
    note = f"vetoed by {', '.join(voices)}"
    if target * exposure < 0:
        return decided._replace(target=0.0, note=f"{note}: the position is left and not turned")
    return decided._replace(side=HOLD, target=None, note=note)


def _members(count: int) -> str:
    return "no member" if count == 0 else f"only {count} member{'s' if count > 1 else ''}"
