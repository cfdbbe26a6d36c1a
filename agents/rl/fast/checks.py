"""What fast PPO can compute; everything else is sent to plain PPO with one sentence."""

from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn
from torch.optim import Adam

from agents.rl.fast.packed import ACTIVATIONS
from market.errors import BadInput

PLAIN_ADAM = {"amsgrad": False, "maximize": False, "differentiable": False}


def require_supported(model: PPO) -> None:
    """:raises BadInput: naming the first thing about a model that only plain PPO can do"""
    policy = model.policy
    _require(type(policy) is ActorCriticPolicy, "the policy MlpPolicy", type(policy).__name__, "policy")
    _require_spaces(model)
    extractor = type(policy.features_extractor)
    _require(extractor is FlattenExtractor, "the flat features extractor", extractor.__name__, "policy")
    _require(not model.use_sde, "independent noise", "state-dependent exploration (use_sde)", "use_sde")
    buffer = type(model.rollout_buffer)
    _require(buffer is RolloutBuffer, "the usual RolloutBuffer", buffer.__name__, "rollout_buffer_class")
    for tower in (policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net):
        _require(len(tower) > 0, "towers of at least one hidden layer", "a tower without any", "net_arch")
    _require_activation(policy)
    _require_adam(policy)


def _require_spaces(model: PPO) -> None:
    observed, action = model.observation_space, model.action_space
    is_plain = isinstance(observed, spaces.Box) and not is_image_space(observed)
    _require(is_plain, "observations that are vectors of numbers", str(observed), "env")
    is_known = isinstance(action, spaces.Discrete | spaces.Box)
    _require(is_known, "Discrete and Box actions", str(action), "env")


def _require_activation(policy: ActorCriticPolicy) -> None:
    towers = (policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net)
    kinds = {type(layer) for tower in towers for layer in tower if not isinstance(layer, nn.Linear)}
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    is_known = len(kinds) == 1 and kinds <= set(ACTIVATIONS)
    _require(is_known, "the activations Tanh and ReLU", names, "activation_fn")


def _require_adam(policy: ActorCriticPolicy) -> None:
    optimizer = policy.optimizer
    _require(type(optimizer) is Adam, "the optimizer Adam", type(optimizer).__name__, "optimizer_class")
    _require(len(optimizer.param_groups) == 1, "one group of parameters", "several", "optimizer_class")
    for name, plain in PLAIN_ADAM.items():
        given = optimizer.param_groups[0].get(name, plain)
        _require(given == plain, f"Adam with {name}={plain}", f"{name}={given}", "optimizer_kwargs")


def _require(is_met: bool, known: str, found: str, field: str) -> None:
    if not is_met:
        raise BadInput(f"fast PPO knows only {known}, not {found}: use plain PPO for this", field)
