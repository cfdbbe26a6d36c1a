"""What algorithms log, under the names that people are shown (market.web.definitions)."""

from collections.abc import Mapping, Sequence
from typing import Any

LOGGED = {  # the library's name -> ours, see market.web.definitions
    "train/policy_gradient_loss": "policy_loss",
    "train/policy_loss": "policy_loss",
    "train/value_loss": "value_loss",
    "train/entropy_loss": "entropy",
    "train/approx_kl": "kl",
    "train/kl_divergence_loss": "kl",
    "train/policy_objective": "policy_objective",
    "train/clip_fraction": "clip_fraction",
    "train/explained_variance": "explained_variance",
    "train/actor_loss": "actor_loss",
    "train/critic_loss": "critic_loss",
    "train/ent_coef": "entropy_weight",
    "rollout/exploration_rate": "exploration_rate",
}
THOUGHTS = "policy/"  # what an algorithm logs of the policy itself
MEMBERS = "team/"  # what a team logs of its specialists
VALUE_LEARNERS = ("dqn", "qr_dqn", "q_table")


def of_the_log(found: Mapping[str, Any], algorithm: str, actions: Sequence[str]) -> dict[str, float]:
    """Return our name -> value of what the library's logger holds; what is not finite included.

    :param actions: their names, for the numbers that an algorithm gives them
    """
    names = LOGGED | ({"train/loss": "action_value_loss"} if algorithm in VALUE_LEARNERS else {})
    values = {ours: float(found[theirs]) for theirs, ours in names.items() if theirs in found}
    if "entropy" in values:
        values["entropy"] = -values["entropy"]  # the library logs the loss
    for key in (key for key in found if key.startswith(THOUGHTS)):
        what, _, at = key.removeprefix(THOUGHTS).rpartition("_")
        name = f"{what}_{actions[int(at)].lower()}" if at.isdigit() else key.removeprefix(THOUGHTS)
        values[name] = float(found[key])
    values |= {key.removeprefix(MEMBERS): float(found[key]) for key in found if key.startswith(MEMBERS)}
    return values
