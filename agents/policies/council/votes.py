"""What a member of a council says, whatever its action space: a side, chances of each side, an exposure."""

import math
from typing import Any, NamedTuple

from agents.policies.port import Opinion
from agents.spaces import BUY, HOLD, SELL, ActionSpec
from market.kernel.rebalance import is_kept

SIDES = ("HOLD", "BUY", "SELL")  # by their index; also the order in which ties are resolved
Shares = tuple[float, float, float]


class Vote(NamedTuple):
    """One member's vote at one close.

    `side` says what following the member alone would do to the exposure held: raise it (BUY), lower it
    (SELL), or leave it (HOLD), which is also the vote of a member whose wish is held already. A member that
    failed has no side and says why in `failure`.
    """

    member: str
    weight: float  # 0: it watches, and never matters
    side: int | None = None
    target: float | None = None  # exposure its choice asks for; None keeps what is held
    shares: Shares = (0.0, 0.0, 0.0)  # its probability of HOLD, BUY and SELL; they sum to one
    asked: tuple[float | None, float | None] = (None, None)  # exposure meant by its BUY, and by its SELL
    failure: str = ""

    def counted(self) -> "Vote":
        """Return the vote with all of its probability on the side it chose."""
        if self.side is None:
            return self
        shares = tuple(float(side == self.side) for side in (HOLD, BUY, SELL))
        asked = tuple(self.target if side == self.side else None for side in (BUY, SELL))
        return self._replace(shares=shares, asked=asked)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Return what a decision row stores."""
        return {
            "member": self.member,
            "weight": self.weight,
            "vote": "" if self.side is None else SIDES[self.side],
            "target": self.target,
            "probabilities": list(self.shares) if self.side is not None else [],
            "failure": self.failure,
        }


class Tally(NamedTuple):
    """All votes behind one opinion of a council, and why it holds where they alone would not say."""

    votes: tuple[Vote, ...]
    note: str  # quorum, veto or disagreement; empty when the votes speak for themselves

    @property
    def failures(self) -> dict[str, str]:
        """Return why each member that could not vote could not."""
        return {vote.member: vote.failure for vote in self.votes if vote.side is None}

    def to_dict(self) -> dict[str, Any]:
        return {"note": self.note, "votes": [vote.to_dict() for vote in self.votes]}


def vote_of(member: str, weight: float, opinion: Opinion, spec: ActionSpec, exposure: float) -> Vote:
    """Return an opinion as a vote.

    - `hold_buy_sell`: the probabilities as they are; BUY means `levels[1]`, SELL means `levels[0]`.
    - `levels`: the levels above the exposure held are BUY, those below it SELL, those within the band HOLD;
      their probabilities add up, and each side means the mean of its levels, weighted by probability.
    - `continuous`, and opinions without probabilities: all on the side chosen.

    :param exposure: share of equity held now, -1..1
    :raises ValueError: when the opinion holds a number that is not finite
    """
    target = None if opinion.target == exposure else opinion.target
    _require_finite(opinion, target)
    side = HOLD if target is None else BUY if target > exposure else SELL
    sure = Vote(member, weight, side, target, failure="").counted()
    if opinion.tally is not None:  # of a team: BUY means what it asks for now, not its highest exposure
        return sure._replace(shares=opinion.probabilities)  # type: ignore[arg-type]
    if not opinion.probabilities or spec.kind == "continuous":
        return sure
    if spec.kind == "hold_buy_sell":
        hold, buy, sell = opinion.probabilities
        return sure._replace(shares=(hold, buy, sell), asked=(spec.levels[1], spec.levels[0]))
    return _of_levels(sure, opinion.probabilities, spec, exposure)


def _of_levels(sure: Vote, probabilities: tuple[float, ...], spec: ActionSpec, exposure: float) -> Vote:
    chances: list[list[tuple[float, float]]] = [[], [], []]  # per side: (probability, level)
    for level, chance in zip(spec.levels, probabilities, strict=True):
        stays = level == exposure or is_kept(level, exposure, spec.band)
        side = HOLD if stays else BUY if level > exposure else SELL
        chances[side].append((chance, level))
    hold, buy, sell = (math.fsum(chance for chance, _ in pairs) for pairs in chances)
    return sure._replace(shares=(hold, buy, sell), asked=(_mean(chances[BUY]), _mean(chances[SELL])))


def _mean(pairs: list[tuple[float, float]]) -> float | None:
    whole = math.fsum(chance for chance, _ in pairs)
    return math.fsum(chance * level for chance, level in pairs) / whole if whole > 0 else None


def _require_finite(opinion: Opinion, target: float | None) -> None:
    numbers = (*opinion.probabilities, opinion.action, *(() if target is None else (target,)))
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("its opinion holds a number that is not finite")
