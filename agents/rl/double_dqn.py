"""Double DQN: the online network chooses the next action, the target network values it.

DQN's own maximum over noisy estimates is too high on average, and trading noise is large (van Hasselt, Guez &
Silver 2016, eq. 4). Everything else, archives included, is stable-baselines3's DQN.
"""

import numpy as np
import torch
from stable_baselines3 import DQN
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_


class DoubleDQN(DQN):
    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Update from the replay memory, and log what DQN logs."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = [self._update(batch_size) for _ in range(gradient_steps)]
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))

    def _update(self, batch_size: int) -> float:
        assert self.replay_buffer is not None, "made by _setup_model"  # noqa: S101  programming error
        batch = self.replay_buffer.sample(batch_size)
        with torch.no_grad():
            chosen = self.q_net(batch.next_observations).argmax(dim=1, keepdim=True)  # (n, 1)
            ahead = self.q_net_target(batch.next_observations).gather(1, chosen)
            target = batch.rewards + (1 - batch.dones) * self.gamma * ahead
        present = self.q_net(batch.observations).gather(1, batch.actions.long())
        loss = functional.smooth_l1_loss(present, target)
        self.policy.optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        return loss.item()
