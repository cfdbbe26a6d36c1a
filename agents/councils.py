"""From a council's rows to its policy: each member proven to be the one that was chosen, or left out."""

from agents import policies
from agents.models import Council, CouncilMember, TrainedModel
from agents.policies.council import Absent, Member, Voting
from agents.policies.council import Council as CouncilPolicy
from agents.policies.port import Policy
from market.errors import BadInput

MOST_MEMBERS = 32


def load(council: Council) -> CouncilPolicy:
    """Return the policy of a council. A member that cannot be loaded is absent and says why; it never votes.

    :raises BadInput: when the members cannot be asked together
    """
    present, absent = [], []
    for row in council.members.select_related("model"):
        try:
            present.append(Member(row.name, _policy(row), row.weight))
        except BadInput as error:
            absent.append(Absent(row.name, row.weight, row.policy_hash, error.message))
    voting = Voting(council.method, council.combine, council.quorum)
    return CouncilPolicy(str(council), present, voting, absent)


def absent_model(model: TrainedModel, reason: str) -> CouncilPolicy:
    """Return what stands in for a model that cannot be loaded now: nobody votes, so it only ever holds."""
    return CouncilPolicy(str(model), [], Voting(), [Absent(str(model), 1.0, model.file_hash, reason)])


def require_quorum(council: Council, policy: Policy) -> None:
    """Refuse a loaded council that could never decide.

    :raises BadInput: when too few members can vote, naming those that cannot and why
    """
    assert isinstance(policy, CouncilPolicy)  # noqa: S101  for the type checker: it is what `load` returned
    voters = sum(member.weight > 0 for member in policy.members)
    if voters < council.quorum:
        why = "; ".join(f"{one.name}: {one.reason}" for one in policy.absent)
        raise BadInput(
            f"{voters} members of {council} can vote and its quorum is {council.quorum} ({why})", "council"
        )


def _policy(row: CouncilMember) -> Policy:
    """:raises BadInput: when it is not what was chosen, or cannot be read any more"""
    policy: Policy = (
        policies.load_model(row.model) if row.model else policies.baseline(row.baseline, **row.params)
    )
    if policy.policy_hash != row.policy_hash:
        raise BadInput(f"{row.name} is not the policy any more that the council was made with", "members")
    return policy
