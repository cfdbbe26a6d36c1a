"""To the outside, fast PPO is an algorithm of the library."""

import inspect
import io
from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy

from agents.rl import checkpoints
from agents.rl.fast import kernels
from agents.rl.fast.packed import PackedPolicy
from agents.rl.fast.ppo import FastPPO
from market.errors import BadInput
from tests.agents.fast.helpers import CONTINUOUS, SharedOrder, distance, logged, make, parameters, rollout

KINDS = {"discrete": {}, "gaussian": {"action": CONTINUOUS}}


def reopened(model, cls):
    archive = io.BytesIO()
    model.save(archive)
    archive.seek(0)
    return cls.load(archive, device="cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_its_rollout_holds_what_the_policy_says(kind):
    model = make(**KINDS[kind])
    rollout(model)
    buffer = model.rollout_buffer
    flat = torch.as_tensor(buffer.observations.reshape(-1, buffer.observations.shape[-1]))
    with torch.no_grad():
        actions = torch.as_tensor(buffer.actions.reshape(len(flat), -1))
        actions = actions.squeeze(1) if kind == "discrete" else actions
        values, log_probs, _ = model.policy.evaluate_actions(flat, actions)
    assert np.abs(values.numpy().ravel() - buffer.values.ravel()).max() < 1e-6
    assert np.abs(log_probs.numpy() - buffer.log_probs.ravel()).max() < 1e-5


def test_its_advantages_are_those_of_the_librarys_buffer():
    model = make(steps=256)
    rollout(model)
    buffer = model.rollout_buffer
    found = buffer.advantages.copy(), buffer.returns.copy()
    last = PackedPolicy(model.policy).values(model._last_obs)
    buffer.compute_returns_and_advantage(torch.as_tensor(last), model._last_episode_starts)
    assert buffer.episode_starts[1:].any()  # episodes ended on the way
    np.testing.assert_array_equal(found[0], buffer.advantages)
    np.testing.assert_array_equal(found[1], buffer.returns)


def test_an_episode_cut_off_earns_the_value_of_its_end():
    model, rewards = make(), np.zeros(3, np.float32)
    last = np.arange(25, dtype=np.float32) / 25
    infos = [{}, {"TimeLimit.truncated": True, "terminal_observation": last}, {"terminal_observation": last}]
    model._bootstrap(PackedPolicy(model.policy), rewards, np.array([False, True, True]), infos)
    with torch.no_grad():
        value = model.policy.predict_values(torch.as_tensor(last)[None]).item()
    np.testing.assert_allclose(rewards, [0.0, 0.99 * value, 0.0], rtol=1e-5)


def test_actions_fall_as_often_as_the_policy_says():
    model = make(envs=64, steps=64)
    with torch.no_grad():
        model.policy.action_net.bias[:] = torch.tensor([0.0, 1.0, -1.0])
        model.policy.action_net.weight.zero_()
    rollout(model)
    shares = np.bincount(model.rollout_buffer.actions.ravel(), minlength=3) / 4096
    np.testing.assert_allclose(shares, np.exp([0, 1, -1]) / np.exp([0, 1, -1]).sum(), atol=0.03)


def test_continuous_actions_are_spread_as_the_policy_says():
    model = make(action=CONTINUOUS, envs=64, steps=64)
    with torch.no_grad():
        model.policy.action_net.bias[:], model.policy.log_std[:] = 0.3, -1.0
        model.policy.action_net.weight.zero_()
    rollout(model)
    actions = model.rollout_buffer.actions
    assert actions.mean() == pytest.approx(0.3, abs=0.03)
    assert actions.std() == pytest.approx(np.exp(-1.0), abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_its_archive_opens_as_plain_ppo_with_the_same_actions(kind):
    model = make(**KINDS[kind]).learn(512)
    observations = model.env.reset()
    expected, _ = model.predict(observations, deterministic=True)
    for cls in (PPO, FastPPO):
        found, _ = reopened(model, cls).predict(observations, deterministic=True)
        np.testing.assert_array_equal(found, expected)


def test_an_archive_of_plain_ppo_goes_on_as_fast_ppo():
    plain = make(PPO).learn(512)
    model = reopened(plain, FastPPO)
    model.set_env(plain.env)
    model.learn(512, reset_num_timesteps=False)
    assert model.num_timesteps == 1024
    assert distance(parameters(model), parameters(plain)) > 0


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    one, two, other = (parameters(make(seed=seed).learn(1024)) for seed in (3, 3, 4))
    assert distance(one, two) == 0
    assert distance(one, other) > 0


def test_models_in_threads_learn_what_they_learn_alone():
    alone = [parameters(make(seed=seed).learn(2048)) for seed in (3, 4)]
    models = [make(seed=seed) for seed in (3, 4)]
    with ThreadPoolExecutor(2) as pool:
        together = [parameters(model) for model in pool.map(lambda model: model.learn(2048), models)]
    assert [distance(one, two) for one, two in zip(alone, together, strict=True)] == [0, 0]


def test_a_saved_run_goes_on_as_if_it_had_never_stopped():
    whole = make().learn(2048)
    first = make().learn(1024)
    state = checkpoints.capture(first, first.env)
    second = reopened(first, FastPPO)
    second.set_env(make().env, force_reset=False)
    second.env.set_state(state["env"])
    second.learn(1024, reset_num_timesteps=False)
    assert distance(parameters(second), parameters(whole)) == 0


def test_too_large_a_step_of_the_policy_ends_the_update_where_the_librarys_ends():
    model = make(SharedOrder, learning_rate=3e-3, n_epochs=10, target_kl=0.002)
    rollout(model)
    before, results = model.policy.state_dict(), []
    before = {name: value.clone() for name, value in before.items()}
    for train in (SharedOrder.train, PPO.train):
        model.policy.load_state_dict(before)
        model.policy.optimizer.state.clear()
        model._n_updates = 0
        np.random.seed(5)
        train(model)
        results.append((parameters(model), logged(model)))
    assert 0 < results[0][1]["train/n_updates"] < 10
    assert distance(results[0][0], results[1][0]) < 1e-6
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-4, abs=2e-6)


def test_schedules_reach_the_update():
    model = make(
        learning_rate=lambda left: 1e-3 * left, clip_range=lambda left: 0.4 * left, clip_range_vf=0.3
    )
    model.learn(1024)
    found = logged(model)
    assert found["train/learning_rate"] == pytest.approx(0.0)  # progress is 0 at the last update
    assert found["train/clip_range"] == pytest.approx(0.0)
    assert found["train/clip_range_vf"] == pytest.approx(0.3)


class Stop(BaseCallback):
    def _on_step(self) -> bool:
        assert {"infos", "rewards", "dones", "actions", "new_obs"} <= self.locals.keys()
        return self.n_calls < 5


def test_a_callback_may_end_a_rollout():
    model = make().learn(2048, callback=Stop())
    assert model.num_timesteps == 5 * 16


def test_it_logs_what_plain_ppo_logs():
    learned = [make(cls, action=CONTINUOUS, clip_range_vf=0.2).learn(512) for cls in (FastPPO, PPO)]
    names = [set(logged(model)) for model in learned]
    assert names[0] == names[1]


def test_it_takes_the_arguments_of_plain_ppo():
    assert inspect.signature(FastPPO) == inspect.signature(PPO)


def test_any_vector_environment_will_do():
    env = make_vec_env("CartPole-v1", n_envs=3, seed=1)
    model = FastPPO("MlpPolicy", env, n_steps=64, batch_size=64, seed=1, device="cpu").learn(400)
    assert model.ep_info_buffer


class OwnPolicy(ActorCriticPolicy):
    pass


class Rows(gym.Env):
    """Spaces of any kind."""

    def __init__(self, observed, action) -> None:
        self.observation_space, self.action_space = observed, action


BOX = gym.spaces.Box(-1, 1, (3,), np.float32)
UNKNOWN = {
    "own policy": (BOX, BOX, {"policy": OwnPolicy}),
    "state-dependent": (BOX, BOX, {"use_sde": True}),
    "MultiDiscrete": (BOX, gym.spaces.MultiDiscrete([2, 2]), {}),
    "Discrete\\(4\\)": (gym.spaces.Discrete(4), BOX, {}),
    "ELU": (BOX, BOX, {"policy_kwargs": {"activation_fn": torch.nn.ELU}}),
    "hidden layer": (BOX, BOX, {"policy_kwargs": {"net_arch": {"pi": [], "vf": [8]}}}),
    "SGD": (BOX, BOX, {"policy_kwargs": {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {}}}),
    "amsgrad": (BOX, BOX, {"policy_kwargs": {"optimizer_kwargs": {"amsgrad": True}}}),
    "cuda": (BOX, BOX, {"device": "cuda"}),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_it_cannot_do_is_sent_to_plain_ppo(what):
    observed, action, given = UNKNOWN[what]
    with pytest.raises(BadInput, match="use plain PPO") as caught:
        FastPPO(**{"policy": "MlpPolicy", "env": Rows(observed, action), **given})
    if what != "own policy":
        caught.match(what)


@pytest.mark.parametrize("entry", ["values_of", "act", "epoch", "estimate"])
def test_another_process_finds_what_was_compiled(entry):
    """A compiled function among the free variables would give every process a cache key of its own."""
    cells = getattr(kernels, entry).py_func.__closure__
    assert [type(cell.cell_contents) for cell in cells] == [int]


@given(
    rows=st.integers(1, 70), inputs=st.integers(1, 40), width=st.integers(1, 70), seed=st.integers(0, 2**16)
)
@settings(max_examples=15, deadline=None)
def test_values_are_those_of_torch_for_any_size(rows, inputs, width, seed):
    space = gym.spaces.Box(-np.inf, np.inf, (inputs,), np.float32)
    torch.manual_seed(seed)
    policy = ActorCriticPolicy(space, gym.spaces.Discrete(2), lambda _: 1e-3, net_arch=[width, 5])
    observations = np.random.default_rng(seed).normal(size=(rows, inputs)).astype(np.float32) * 3
    with torch.no_grad():
        expected = policy.predict_values(torch.as_tensor(observations)).numpy().ravel()
    np.testing.assert_allclose(PackedPolicy(policy).values(observations), expected, atol=2e-6)


def test_what_is_not_a_number_stays_visible():
    model = make()
    with torch.no_grad():
        model.policy.mlp_extractor.value_net[0].weight[0, 0] = float("nan")
    model.learn(512)
    assert np.isnan(logged(model)["train/value_loss"])
