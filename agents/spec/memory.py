"""What a run may hold at most, whatever the machine; what one machine has is `agents.resources`."""

from typing import TYPE_CHECKING

from agents.spec.algorithms import KNOWN, Replay
from market.errors import BadInput

if TYPE_CHECKING:
    from agents.spec.training import TrainingSpec

MOST_ROLLOUT_BYTES = 8 * 2**30  # of the observations between two updates, float32
MOST_REPLAY_BYTES = 2**30  # of a replay memory: every checkpoint holds it, so that a run resumes exactly


def require_memory(spec: "TrainingSpec") -> None:
    """:raises BadInput: for more observations at once than any machine is asked to hold"""
    needed, section = spec.bytes_held, KNOWN[spec.algorithm].sections[0]
    if isinstance(spec.learning, Replay):
        if needed > MOST_REPLAY_BYTES:
            raise BadInput(
                f"a replay memory of {spec.learning.buffer_size:,} decisions would need "
                f"{needed / 2**30:,.1f} GiB in memory and in every checkpoint; "
                f"{MOST_REPLAY_BYTES // 2**30} is allowed: lower buffer_size or window",
                f"{section}.buffer_size",
            )
    elif needed > MOST_ROLLOUT_BYTES:
        raise BadInput(
            f"n_envs * n_steps * window * features would need {needed / 2**30:,.0f} GiB of memory for "
            f"one update; {MOST_ROLLOUT_BYTES // 2**30} are allowed",
            f"{section}.n_steps",
        )
