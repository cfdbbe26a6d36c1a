"""A council as a policy: its members' needs joined, their votes combined, failures kept apart."""

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from agents.observation import PORTFOLIO
from agents.policies.council.combine import Voting, combine
from agents.policies.council.needs import Part, Stack, joined
from agents.policies.council.votes import SIDES, Tally, Vote, vote_of
from agents.policies.port import Opinion, Policy
from agents.policies.rules import Cash
from agents.spaces import ActionSpec
from market.errors import BadInput

logger = logging.getLogger(__name__)
VERSION = 1  # raise it when equal members and votes come to another decision
RAREST = 1440  # bars between two decisions of a council, at most


class Member(NamedTuple):
    """One policy with its voice."""

    name: str
    policy: Policy
    weight: float  # 0: it watches, and never matters


class Absent(NamedTuple):
    """A member that cannot vote at all, and why."""

    name: str
    weight: float
    policy_hash: str
    reason: str


class Council:
    """Policies that vote behind the policy protocol.

    It decides at the closes at which every member would decide, so that none is asked off its rhythm and none
    needs a memory: equal observation and exposure give equal votes, live as in a replay. It draws nothing by
    chance. A member that raises or answers with something not finite is left out of that decision.
    """

    can_draw = False

    def __init__(
        self, name: str, members: Sequence[Member], voting: Voting, absent: Sequence[Absent] = ()
    ) -> None:
        """:raises BadInput: when the members cannot be asked together"""
        self.name, self.members, self.voting = name, tuple(members), voting
        self.absent = tuple(absent)
        policies = [member.policy for member in members] or [Cash()]  # nobody left: it only ever holds
        self.observation, self._parts = joined([policy.observation for policy in policies])
        self.decision_every = math.lcm(*(policy.decision_every for policy in policies))
        if self.decision_every > RAREST:
            raise BadInput(
                f"the members would all decide together only every {self.decision_every} bars; choose "
                f"members whose rhythms meet within {RAREST}",
                "members",
            )
        specs = [policy.action_spec for policy in policies]
        lowest = min(0.0, *(spec.levels[0] for spec in specs))
        highest = max(spec.levels[-1] for spec in specs)
        self.action_spec = ActionSpec("hold_buy_sell", (lowest, highest), max(spec.band for spec in specs))
        self.policy_hash = hash_of(
            voting,
            [(member.policy.policy_hash, member.weight) for member in members],
            [(one.policy_hash, one.weight) for one in absent],
        )

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        split = len(observation) - len(PORTFOLIO)
        rows = observation[:split].reshape(self.observation.window, -1)  # (W * C,) -> (W, C)
        votes = [
            self._vote(member, part, rows, observation[split:], current_exposure)
            for member, part in zip(self.members, self._parts, strict=False)
        ]
        votes += [Vote(one.name, one.weight, failure=one.reason) for one in self.absent]
        decided = combine(votes, self.voting, current_exposure, self.action_spec.band)
        is_alone = not self.members and len(self.absent) == 1  # in place of a model: no council to speak of
        note = f"{self.absent[0].name} cannot be asked: it holds" if is_alone else decided.note
        share, tally = decided.shares[decided.side], Tally(tuple(votes), note)
        return Opinion(decided.side, SIDES[decided.side], decided.shares, None, share, decided.target, tally)

    def _vote(
        self, member: Member, part: Part, rows: np.ndarray, portfolio: np.ndarray, exposure: float
    ) -> Vote:
        name, policy, weight = member
        try:
            observation = part.take(rows, portfolio, self.observation.bars_scale)
            if not np.isfinite(observation).all():
                raise ValueError("a feature it needs has no value")
            return vote_of(name, weight, policy.opine(observation, exposure), policy.action_spec, exposure)
        except Exception as error:
            logger.warning("council %s: %s could not vote: %s", self.name, name, error)
            return Vote(name, weight, failure=f"{error or type(error).__name__}"[:200])

    @property
    def columns(self) -> list[np.ndarray]:
        """Return where each member's features lie in the council's raw rows, in the order of its members."""
        stack = self.observation.scaler
        assert isinstance(stack, Stack)  # noqa: S101  for the type checker: it is what `joined` returned
        return [columns for columns, _ in stack.parts][: len(self.members)]

    @property
    def voices(self) -> list[tuple[str, float]]:
        """Return name and weight of everybody, in the order of a tally's votes."""
        present = [(member.name, member.weight) for member in self.members]
        return [*present, *((one.name, one.weight) for one in self.absent)]

    def reset(self, seed: int) -> None:
        """Give every member the same seed."""
        for member in self.members:
            member.policy.reset(seed)

    def without(self, name: str) -> "Council":
        """Return the same council with one member as a mere watcher; the quorum falls to those left.

        It sees the same, decides at the same closes and differs in nothing else.
        """
        members = [one._replace(weight=0.0) if one.name == name else one for one in self.members]
        voters = sum(weight > 0 for other, weight in self.voices if other != name)
        voting = replace(self.voting, quorum=max(1, min(self.voting.quorum, voters)))
        return Council(f"{self.name} without {name}", members, voting, self.absent)


def hash_of(
    voting: Voting, members: Iterable[tuple[str, float]], absent: Iterable[tuple[str, float]] = ()
) -> str:
    """Return the SHA-256 (hex) of everything that shapes a council's opinions.

    :param members: policy hash and weight of each; their order does not show
    :param absent: the same of those that cannot vote: without them it is another council
    """
    rules = [voting.method, voting.combine, voting.quorum]
    identity = [VERSION, rules, sorted(members), sorted(absent)]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
