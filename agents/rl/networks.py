"""From torch weights to the numpy network that trades, and the proof that both think alike."""

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from agents.policies.network import CATEGORICAL, GREEDY, MASKED, SQUASHED, SQUASHED_GAUSSIAN
from agents.policies.team import Mind, TeamMind
from agents.policies.trained import softmax
from agents.rl.readings import reading_of
from agents.rl.vec_env import TradingVecEnv

TOLERANCE = 1e-6
WINDOWS = 64  # of a recurrent policy, to compare on
GRAINS = 4.0  # times torch's own rounding error


def network_of(policy: BasePolicy) -> Mind:
    """Return a copy of a policy's weights as numpy arrays."""
    return reading_of(policy).network(policy)


def met(model: BaseAlgorithm, env: TradingVecEnv, inputs: int) -> np.ndarray:
    """Return observations that a learner has met, float32 (n, inputs).

    Who learns from one row at a time and trades on many (a recurrent policy) is given windows of the market
    it learned from, with accounts that it has met.
    """
    seen, features = _seen(model, env), env.market.scaled
    if inputs == seen.shape[1]:
        return seen
    columns = features.shape[1]
    accounts = seen[:WINDOWS, columns:]
    rows = (inputs - accounts.shape[1]) // columns
    ends = np.linspace(rows, len(features), len(accounts)).astype(int)
    windows = np.stack([features[end - rows : end].reshape(-1) for end in ends])
    return np.concatenate([windows, accounts], axis=1)


def _seen(model: BaseAlgorithm, env: TradingVecEnv) -> np.ndarray:
    buffer = getattr(model, "rollout_buffer", None) or getattr(model, "replay_buffer", None)
    if buffer is None or not (buffer.full or buffer.pos):
        return env.batch.observations()
    seen = buffer.observations if buffer.full else buffer.observations[: buffer.pos]
    return seen.reshape(-1, env.batch.observation_size)


def require_equal(policy: BasePolicy, network: Mind, observations: np.ndarray) -> float:
    """Return the largest difference between both on observations, float32 (n, dim).

    Compared are probabilities (or continuous actions) absolutely and values relative to their size.
    Where logits are so large that float32 is coarser than 1e-6, numpy may be as far from the exact answer as
    torch is.

    :raises RuntimeError: when they differ by more
    """
    theirs = _answers(policy, torch.as_tensor(observations))
    try:
        exact = _answers(policy.double(), torch.as_tensor(observations).double())
    finally:
        policy.float()  # to double and back changes no weight
    ours = (network.act(observations), network.value(observations))
    gap, grain = (_difference(answers, exact, network) for answers in (ours, theirs))
    if not gap <= max(TOLERANCE, GRAINS * grain):
        raise RuntimeError(f"the numpy network differs from the trained one by {gap:.2e}: it is not used")
    return _difference(ours, theirs, network)


def _answers(policy: BasePolicy, observations: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return (outputs, values) of a policy at its own precision."""
    with torch.no_grad():
        outputs, values = reading_of(policy).answers(policy, observations.to(policy.device))
        return outputs.cpu().numpy(), values.cpu().numpy()


def _difference(
    found: tuple[np.ndarray, np.ndarray], true: tuple[np.ndarray, np.ndarray], network: Mind
) -> float:
    gap = np.abs(_meant(found[0], network) - _meant(true[0], network))
    if network.head == GREEDY:
        gap = gap / np.maximum(np.abs(true[0]), 1.0)
    size = np.maximum(np.abs(true[1]), 1.0)
    return float(max(gap.max(), (np.abs(found[1] - true[1]) / size).max()))


def _meant(outputs: np.ndarray, network: Mind) -> np.ndarray:
    """Return what outputs amount to: probabilities, values, or actions and deviations."""
    if isinstance(network, TeamMind):
        return network.meant(outputs)
    if network.head in (CATEGORICAL, MASKED):
        return np.array([softmax(row) for row in outputs.tolist()])
    if network.head in (SQUASHED, SQUASHED_GAUSSIAN):
        actions, rest = outputs[:, : network.outputs], outputs[:, network.outputs :]
        return np.concatenate([np.tanh(actions), np.exp(np.clip(rest, -20.0, 2.0))], axis=1)
    return outputs
