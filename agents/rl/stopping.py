"""When a run ends before its last step: it no longer gets better, or what it learns has broken."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.spec.parts import Stopping
from market.errors import BadInput

NOT_FINITE = "the weights are no longer finite: lower the learning rate or reward.scale"


class Enough(Exception):
    """The run has what it came for; its best weights become the model."""


class Pruned(Exception):
    """Whoever compares runs has no use for this one any more; its checkpoint is written."""


class Broken(BadInput):
    """Learning has gone wrong; the last checkpoint from before that is kept, if there was one."""


@dataclass(slots=True)
class Progress:
    """What the validations so far say about going on; part of every checkpoint."""

    target: float | None = None  # the best score that counted as better
    stale: int = 0  # validations since then
    wide: int = 0  # validations in a row with too wide a gap

    def see(self, stopping: Stopping, score: float, gap: float | None) -> None:
        """Take in one validation. :param gap: training score less validation score; None: not measured"""
        if self.target is None or score > self.target + stopping.min_delta:
            self.target, self.stale = score, 0
        else:
            self.stale += 1
        self.wide = self.wide + 1 if gap is not None and gap > stopping.gap else 0

    def enough(self, stopping: Stopping) -> str:
        """Return why the run should end now, or nothing."""
        if stopping.patience and self.stale >= stopping.patience:
            return f"no better score in {self.stale} validations"
        if stopping.gap and self.wide >= stopping.gap_patience:
            return (
                f"over-fitting: the training score was more than {stopping.gap:g} above the validation score "
                f"in {self.wide} validations in a row"
            )
        return ""


def require_sound(stopping: Stopping, values: Mapping[str, float]) -> None:
    """:raises Broken: when what the last update reported is no number, or beyond the breakers"""
    for name, value in values.items():
        if not math.isfinite(value) and (name.endswith("_loss") or name in ("kl", "entropy")):
            said = name.replace("_", " ")
            raise Broken(f"the {said} is no longer finite: lower the learning rate or reward.scale", "spec")
    kl, entropy = values.get("kl"), values.get("entropy")
    if stopping.max_kl and kl is not None and kl > stopping.max_kl:
        raise Broken(
            f"stopping.max_kl: learning moved the policy by {kl:.3g} at once, more than {stopping.max_kl:g}: "
            "lower the learning rate or the epochs, or give a target KL; the checkpoint from before is kept",
            "stopping.max_kl",
        )
    if stopping.min_entropy and entropy is not None and entropy < stopping.min_entropy:
        raise Broken(
            f"stopping.min_entropy: the entropy fell to {entropy:.3g}, under {stopping.min_entropy:g}; the "
            "policy no longer explores: raise the entropy bonus or lower the learning rate; the checkpoint "
            "from before it is kept",
            "stopping.min_entropy",
        )


def is_finite(model: BaseAlgorithm) -> bool:
    """Say whether everything that is learned is a number."""
    policy = model.policy
    learned = [*policy.parameters(), *(value for name, value in policy.named_buffers() if name == "table")]
    return bool(torch.stack([value.isfinite().all() for value in learned]).all())


def require_finite(model: BaseAlgorithm) -> None:
    """:raises Broken: when an update has left weights that are no numbers"""
    if not is_finite(model):
        raise Broken(NOT_FINITE, "spec")
