import numpy as np
import pytest

from agents.envs.batched import packed
from agents.envs.settings import EnvSettings
from agents.envs.single import TradingEnv
from agents.spaces import ActionSpec
from tests.agents.envs.markets import random_market

vec_env = pytest.importorskip("agents.rl.vec_env")
normalising = pytest.importorskip("agents.rl.normalising")
SETTINGS = EnvSettings(episode_bars=20, stop_loss=0.01)


@pytest.fixture
def vec():
    return vec_env.TradingVecEnv(packed(*random_market()), SETTINGS, n_envs=4, seed=3)


def test_spaces_are_those_of_the_single_environment(vec):
    single = TradingEnv(*random_market(), SETTINGS)
    assert vec.observation_space == single.observation_space
    assert vec.action_space == single.action_space


def test_an_ended_episode_reports_its_return_length_and_last_observation(vec):
    vec.reset()
    total = np.zeros(4)
    for _ in range(20):
        observations, rewards, dones, infos = vec.step(np.array([0, 1, 1, 2]))
        total += rewards
    assert dones.all()
    assert [info["episode"]["r"] for info in infos] == pytest.approx(total.tolist())
    assert {info["episode"]["l"] for info in infos} == {20}
    assert all(info["TimeLimit.truncated"] for info in infos)
    assert infos[1]["terminal_observation"][-5] > 0.9
    assert (observations[:, -5:] == [0, 0, 0, 0, 1]).all()
    assert vec.step(np.zeros(4, int))[3] == [{}] * 4


def test_seeding_decides_where_episodes_start(vec):
    vec.seed(11)
    first = vec.reset()
    vec.seed(11)
    assert (vec.reset() == first).all()
    vec.seed(12)
    assert (vec.reset() != first).any()


def test_a_saved_state_continues_with_the_same_observations_and_episodes(vec):
    vec.reset()
    for _ in range(7):
        vec.step(np.array([1, 2, 1, 0]))
    state = vec.state()
    expected = [vec.step(np.array([1, 2, 1, 0])) for _ in range(30)]
    other = vec_env.TradingVecEnv(packed(*random_market()), SETTINGS, n_envs=4, seed=99)
    other.set_state(state)
    for one, two in zip(expected, [other.step(np.array([1, 2, 1, 0])) for _ in range(30)], strict=True):
        assert (one[0] == two[0]).all()
        assert [info.get("episode") for info in one[3]] == [info.get("episode") for info in two[3]]


def test_ppo_and_sac_learn_on_it_without_a_complaint():
    from stable_baselines3 import PPO, SAC
    from stable_baselines3.common.logger import Logger

    box = EnvSettings(episode_bars=20, action=ActionSpec("continuous", (-1, 1)))
    small = {"policy_kwargs": {"net_arch": [8]}, "batch_size": 32, "device": "cpu"}
    market = packed(*random_market())
    ppo = PPO("MlpPolicy", vec_env.TradingVecEnv(market, SETTINGS, 4), n_steps=16, **small)
    sac = SAC("MlpPolicy", vec_env.TradingVecEnv(market, box, 2), learning_starts=20, **small)
    for model, steps in ((ppo, 128), (sac, 40)):
        model.set_logger(Logger(None, []))
        model.learn(steps)
        assert model.num_timesteps >= steps
        assert len(model.ep_info_buffer) > 0


def normalised(seed=3):
    return vec_env.TradingVecEnv(
        packed(*random_market()), SETTINGS, 4, seed, normalising.ReturnNormaliser(4, gamma=0.9)
    )


def test_normalised_rewards_are_those_of_the_librarys_own_normalisation(vec):
    from stable_baselines3.common.vec_env import VecNormalize

    library, ours = VecNormalize(vec, norm_obs=False, gamma=0.9), normalised()
    library.reset(), ours.reset()
    for step in range(60):
        actions = np.array([step % 3, 1, 2, 0])
        theirs, own = library.step(actions), ours.step(actions)
        assert own[1] == pytest.approx(theirs[1], rel=1e-5, abs=1e-9)
        assert own[1].dtype == np.float32
        episodes = [[info.get("episode") for info in infos] for infos in (theirs[3], own[3])]
        assert episodes[0] == episodes[1]  # raw, in both
    assert ours.normaliser.facts()["variance"] == pytest.approx(float(library.ret_rms.var))


def test_a_normaliser_continues_from_its_state():
    one, two = normalised(), normalised(seed=8)
    one.reset()
    for _ in range(30):
        one.step(np.array([1, 2, 1, 0]))
    two.reset()
    two.set_state(one.state())
    for _ in range(30):
        first, second = one.step(np.array([2, 1, 0, 1])), two.step(np.array([2, 1, 0, 1]))
        assert first[1].tobytes() == second[1].tobytes()


def test_the_mean_reward_is_raw_and_since_the_last_question(vec):
    ours = normalised()
    vec.reset(), ours.reset()
    raw = [vec.step(np.array([1, 2, 1, 0]))[1].mean() for _ in range(5)]
    for _ in range(5):
        ours.step(np.array([1, 2, 1, 0]))
    assert ours.mean_reward() == pytest.approx(float(np.mean(raw)))
    assert ours.mean_reward() is None
