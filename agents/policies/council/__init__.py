"""Several policies behind the policy protocol: each votes, one decision comes out, every vote is kept."""

from agents.policies.council.combine import COMBINES, METHODS, Voting
from agents.policies.council.policy import Absent, Council, Member
from agents.policies.council.votes import SIDES, Tally, Vote

__all__ = ["COMBINES", "METHODS", "SIDES", "Absent", "Council", "Member", "Tally", "Vote", "Voting"]
