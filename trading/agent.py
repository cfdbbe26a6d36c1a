"""The decision-maker of a session: its policy, loaded and checked, behind the gate of its risk profile."""

from typing import Any

from agents import councils, policies
from agents.decide import DECISION_KEYS, Decider, DecisionSettings
from agents.models import Council, TrainedModel
from agents.policies.port import Policy
from market.errors import BadInput
from trading.execution import KEYS as EXECUTION_KEYS
from trading.models import LiveSession, RiskProfile


def policy_of(
    model: TrainedModel | None, baseline: str, settings: dict[str, Any], council: Council | None = None
) -> Policy:
    """Return the policy of a session; of a council, members that cannot be loaded are absent.

    :param settings: the session's settings; what is no decision setting is a parameter of the fixed rule.
    :raises BadInput: when the model's files were changed, or the rule or a setting is unknown.
    """
    known = (*DECISION_KEYS, *EXECUTION_KEYS)
    own = {key: value for key, value in settings.items() if key not in known}
    if own and not baseline:
        unknown, kind = sorted(own)[0], "council" if council is not None else "model"
        raise BadInput(f"there is no setting {unknown!r} of a {kind}; there are {', '.join(known)}", unknown)
    if council is not None:
        return councils.load(council)
    if model is not None:
        return rhythm_of(model) if model.is_portfolio else policies.load_model(model)
    return policies.baseline(baseline, **own)


def rhythm_of(model: TrainedModel) -> Policy:
    """Return what stands for a portfolio's model in each session of its plan.

    It is asked nothing: the plan's first session decides for all, see `trading.weighing`.
    """
    return policies.baseline("target_weight", share=1.0)


def decision_settings(profile: RiskProfile, settings: dict[str, Any]) -> DecisionSettings:
    """Return the gate of the risk profile, with what the session's own settings say instead.

    :raises BadInput: for a value that makes no sense.
    """
    gate = {
        "confidence": profile.min_confidence,
        "min_move": profile.min_move,
        "move_bars": max(2, profile.min_move_bars),
    }
    own = {key: value for key, value in settings.items() if key in DECISION_KEYS}
    return DecisionSettings.from_dict({**gate, **own})


def decider_of(session: LiveSession) -> Decider:
    """Return the session's decider.

    A session that trades already goes on without a model whose files are gone: it holds, and its stops go on.

    :raises BadInput: see `policy_of` and `decision_settings`.
    """
    try:
        policy = policy_of(session.model, session.baseline, session.settings, session.council)
    except BadInput as error:
        if session.model is None or session.started_ms == 0:
            raise
        policy = councils.absent_model(session.model, error.message)
    return Decider(policy, decision_settings(session.risk, session.settings))
