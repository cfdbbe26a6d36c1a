"""Councils: made once from checked members, then only archived."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from agents import policies
from agents.councils import MOST_MEMBERS
from agents.models import Council, CouncilMember, TrainedModel
from agents.policies.council import Council as CouncilPolicy
from agents.policies.council import Member, Voting
from agents.policies.port import Policy
from market.errors import BadInput, Conflict
from market.web.audit import record

MOST_WEIGHT = 1e6
NAME = re.compile(r"[^\s:][^:\n]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Seat:
    """A wish for one member; a weight of None is the validated Sharpe where weights count, else 1."""

    model: TrainedModel | None = None
    baseline: str = ""
    params: Mapping[str, Any] | None = None
    weight: float | None = None


def create_council(
    *,
    owner: Any,
    name: str,
    members: Sequence[Seat],
    method: str = "majority",
    combine: str = "votes",
    quorum: int | None = None,
    by: Any = None,
) -> Council:
    """Make a council of models and fixed rules.

    :param method: of `agents.policies.council.METHODS`
    :param combine: of `agents.policies.council.COMBINES`
    :param quorum: members with a weight above 0 that must be able to vote; None: more than half of them
    :raises BadInput: one sentence about the first thing that does not fit; nothing is written
    """
    name = " ".join(name.split())
    if not NAME.fullmatch(name) or len(name) > 100:
        raise BadInput("give the council a name of at most 100 characters without a colon", "name")
    if not 1 <= len(members) <= MOST_MEMBERS:
        raise BadInput(f"a council has 1 to {MOST_MEMBERS} members, not {len(members)}", "members")
    Voting(method, combine)
    rows, chosen = [], []
    for seat in members:
        row, policy = _seated(seat, method)
        rows.append(row)
        chosen.append(Member(row.name, policy, row.weight))
    _check_twins(rows)
    voting = Voting(method, combine, _quorum(quorum, sum(row.weight > 0 for row in rows)))
    policy_of_all = CouncilPolicy(name, chosen, voting)
    council = Council(owner=owner, name=name, method=method, combine=combine, quorum=voting.quorum)
    council.interval_ms, council.hash = _interval_ms(rows), policy_of_all.policy_hash
    return _written(council, rows, by or owner)


def archive_council(council: Council, by: Any = None) -> Council:
    """Take a council out of the lists people choose from; sessions that use it go on."""
    with transaction.atomic():
        council.is_archived = True
        council.save(update_fields=["is_archived"])
        record(by or council.owner, "council.archive", council, name=council.name)
    return council


def _seated(seat: Seat, method: str) -> tuple[CouncilMember, Policy]:
    if (seat.model is None) == (not seat.baseline):
        raise BadInput("each member is either a model or a baseline", "members")
    params = dict(seat.params or {})
    if seat.model is not None:
        if params:
            raise BadInput(f"model {seat.model.name} takes no settings, only a weight", "members")
        policy: Policy = policies.load_model(seat.model)
        name = seat.model.name
    else:
        rule = policies.baseline(seat.baseline, **params)
        given = " ".join(f"{key}={rule.settings[key]:g}" for key in params)
        policy, params, name = rule, rule.settings, f"{seat.baseline} {given}".strip()
    weight = _weight(seat, name, method)
    row = CouncilMember(name=name[:120], model=seat.model, baseline=seat.baseline, params=params)
    row.weight, row.policy_hash = weight, policy.policy_hash
    return row, policy


def _weight(seat: Seat, name: str, method: str) -> float:
    """Return the weight given, or the one that follows from the validation."""
    if seat.weight is not None:
        if not math.isfinite(seat.weight) or not 0 <= seat.weight <= MOST_WEIGHT:
            raise BadInput(f"the weight of {name} must be a number from 0 to {MOST_WEIGHT:g}", "members")
        return float(seat.weight)
    if method not in ("weighted", "veto"):
        return 1.0
    sharpe = seat.model.metrics.get("sharpe") if seat.model else None
    if sharpe is None:
        raise BadInput(
            f"{name} has no validated Sharpe to be weighted by: give it a weight, or choose another method",
            "members",
        )
    return min(max(float(sharpe), 0.0), MOST_WEIGHT)


def _check_twins(rows: Sequence[CouncilMember]) -> None:
    seen: set[str] = set()
    names: set[str] = set()
    for row in rows:
        if row.policy_hash in seen or row.name in names:
            raise BadInput(f"{row.name} is in the council twice: give it more weight instead", "members")
        seen.add(row.policy_hash)
        names.add(row.name)
    if not any(row.weight > 0 for row in rows):
        raise BadInput(
            "no member has a weight above 0, so nobody would decide (a validated Sharpe up to 0 weighs 0)",
            "members",
        )


def _quorum(quorum: int | None, voters: int) -> int:
    wanted = voters // 2 + 1 if quorum is None else quorum
    if not 1 <= wanted <= voters:
        raise BadInput(
            f"the quorum must be from 1 to {voters}, the number of members with a weight above 0", "quorum"
        )
    return wanted


def _interval_ms(rows: Sequence[CouncilMember]) -> int | None:
    intervals = {row.model.series.interval_ms: row.model for row in rows if row.model}
    if len(intervals) > 1:
        said = ", ".join(f"{model.name} on {model.series.interval}" for model in intervals.values())
        raise BadInput(f"the models learned on different bars and cannot vote together: {said}", "members")
    return next(iter(intervals), None)


@transaction.atomic
def _written(council: Council, rows: Sequence[CouncilMember], by: Any) -> Council:
    try:
        with transaction.atomic():
            council.save()
    except IntegrityError as error:
        raise Conflict(f"there is a council named {council.name!r} already", "name") from error
    for row in rows:
        row.council = council
    CouncilMember.objects.bulk_create(rows)
    weights = {row.name: row.weight for row in rows}
    record(by, "council.create", council, name=council.name, method=council.method, members=weights)
    return council
