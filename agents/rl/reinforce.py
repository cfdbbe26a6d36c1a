"""REINFORCE with a baseline (Williams 1992): the plain policy gradient, to compare with and to look inside.

One step along sum(log probability x (return - baseline)) per rollout, then the baseline is fitted to the
returns. Returns are Monte Carlo; where a rollout cuts an episode off, the baseline stands for the rest.
"""

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import explained_variance
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_


class Reinforce(OnPolicyAlgorithm):
    """Logs what the policy thinks, too: the mean logit and probability of every action over the rollout.

    :param baseline_steps: steps of the value network towards the returns, after every step of the policy
    """

    policy_aliases = {"MlpPolicy": ActorCriticPolicy}
    policy: ActorCriticPolicy

    def __init__(
        self,
        policy: str | type[ActorCriticPolicy],
        env: Any,
        learning_rate: float = 3e-3,
        n_steps: int = 64,
        gamma: float = 0.99,
        ent_coef: float = 0.001,
        max_grad_norm: float = 0.5,
        baseline_steps: int = 5,
        _init_setup_model: bool = True,
        **others: Any,
    ) -> None:
        self.baseline_steps = baseline_steps
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            n_steps=n_steps,
            gamma=gamma,
            gae_lambda=1.0,  # advantages are whole returns less the baseline
            ent_coef=ent_coef,
            vf_coef=1.0,
            max_grad_norm=max_grad_norm,
            _init_setup_model=_init_setup_model,
            supported_action_spaces=(spaces.Discrete, spaces.Box),
            **{"use_sde": False, "sde_sample_freq": -1, **others},
        )

    def train(self) -> None:
        """Take one step of the policy and some of the baseline from the rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        batch = next(self.rollout_buffer.get(batch_size=None))
        is_discrete = isinstance(self.action_space, spaces.Discrete)
        actions = batch.actions.long().flatten() if is_discrete else batch.actions
        _, log_prob, entropy = self.policy.evaluate_actions(batch.observations, actions)
        undecided = -log_prob.mean() if entropy is None else entropy.mean()
        advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
        policy_loss = -(advantages * log_prob).mean()
        self._step(policy_loss - self.ent_coef * undecided)
        for _ in range(self.baseline_steps):
            values = self.policy.predict_values(batch.observations).flatten()
            value_loss = functional.mse_loss(values, batch.returns)
            self._step(value_loss)
        self._n_updates += 1
        record = self.logger.record
        record("train/n_updates", self._n_updates, exclude="tensorboard")
        record("train/policy_loss", policy_loss.item())
        record("train/value_loss", value_loss.item())
        record("train/entropy_loss", -undecided.item())
        buffer = self.rollout_buffer
        record(
            "train/explained_variance", explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        )
        self._record_thoughts(batch.observations)

    def _step(self, loss: torch.Tensor) -> None:
        """Descend a loss; weights that it does not depend on stay, momentum included."""
        self.policy.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()

    def _record_thoughts(self, observations: torch.Tensor) -> None:
        with torch.no_grad():
            law: Any = self.policy.get_distribution(observations).distribution
        if isinstance(law, torch.distributions.Categorical):
            scores = self.policy.action_net(
                self.policy.mlp_extractor.forward_actor(self.policy.pi_features_extractor(observations))
            )
            logits, probabilities = scores.mean(dim=0).tolist(), law.probs.mean(dim=0).tolist()
            for at, (logit, probability) in enumerate(zip(logits, probabilities, strict=True)):
                self.logger.record(f"policy/logit_{at}", logit)
                self.logger.record(f"policy/probability_{at}", probability)
        else:
            self.logger.record("policy/mean", law.mean.mean().item())
            self.logger.record("policy/deviation", law.stddev.mean().item())
