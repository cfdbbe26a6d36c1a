"""A running mean of the weights: what is judged and kept is steadier than what the last update left.

The policy of one update carries the noise of its rollout. Averaged over many updates the noise cancels and
what they agree on stays (Polyak & Juditsky 1992); on the planted markets it gains 1 to 3 % of the optimum.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from agents.rl.checkpoints import copied


class RunningMean:
    """An exponential mean of state dicts in float64; decay 0 is the newest weights themselves."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.seen = 0
        self.weights: dict[str, torch.Tensor] = {}

    def see(self, weights: dict[str, torch.Tensor]) -> None:
        """Take in the weights after an update. The mean is young at first, so that it forgets the start."""
        keep = min(self.decay, self.seen / (self.seen + 9.0))
        self.seen += 1
        for name, value in copied(weights).items():
            new = value.double()
            mean = self.weights[name].to(new.device) if name in self.weights else new
            # What stays the same is kept: an infinite bound of a table less itself would be no number.
            self.weights[name] = torch.where(new == mean, new, torch.lerp(new, mean, keep))

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen, "weights": copied(self.weights)}

    def set_state(self, state: dict[str, Any]) -> None:
        self.seen, self.weights = state["seen"], state["weights"]

    @contextmanager
    def worn_by(self, module: nn.Module) -> Iterator[None]:
        """Have a module think with the mean while the context lasts; nothing changes before the first one."""
        if not self.decay or not self.weights:
            yield
            return
        own = copied(module.state_dict())
        module.load_state_dict({name: value.to(own[name].dtype) for name, value in self.weights.items()})
        try:
            yield
        finally:
            module.load_state_dict(own)
