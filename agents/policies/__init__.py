"""Policies: fixed rules and trained networks behind one protocol. No torch here."""

from typing import TYPE_CHECKING

from agents.policies.port import ObservationNeeds, Opinion, Policy
from agents.policies.rules import BASELINES, baseline

if TYPE_CHECKING:
    from agents.models import TrainedModel

__all__ = ["BASELINES", "ObservationNeeds", "Opinion", "Policy", "baseline", "load_model"]


def load_model(model: "TrainedModel") -> Policy:
    """Return the policy of a trained model once its files are proven to be the ones that were made.

    :raises BadInput: when a file is missing or has changed, or was made by other feature code
    """
    from agents.artefacts import load_policy  # rows and files stay out of the pure part of this package

    return load_policy(model)
