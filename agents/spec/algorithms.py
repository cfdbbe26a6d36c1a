"""The algorithms there are, and the sections of a spec that belong to them: typed, bounded, with defaults.

`network` and the first section of an algorithm shape what learns and how; `agents.rl.algorithms` builds it.
"""

from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import Field, model_validator

from agents.spec.parts import Fraction, Part

Algorithm = Literal["ppo", "fast_ppo", "a2c", "dqn", "sac", "td3"]
ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
DISCRETE, CONTINUOUS = ("hold_buy_sell", "levels"), ("continuous",)
Positive = Annotated[float, Field(gt=0, le=1)]


class Network(Part):
    net_arch: tuple[Annotated[int, Field(ge=1, le=2048)], ...] = Field(
        default=(64, 64), min_length=1, max_length=6
    )
    activation: Literal["tanh", "relu"] = "tanh"


class Rollouts(Part):
    """Learning from what the present policy has just done: `n_steps` decisions of `n_envs` accounts."""

    n_envs: int = Field(default=64, ge=1, le=8192)
    n_steps: int = Field(default=128, ge=2, le=100_000)
    lr: Positive = 3e-4
    gamma: Positive = 0.99

    @property
    def rollout(self) -> int:
        """Decisions between two moments at which a run may be judged, saved or stopped."""
        return self.n_envs * self.n_steps

    @property
    def rows_held(self) -> int:
        """Observations in memory at once."""
        return self.rollout


class Ppo(Rollouts):
    batch_size: int = Field(default=1024, ge=2, le=1_000_000)
    epochs: int = Field(default=10, ge=1, le=100)
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    clip: Positive = 0.2
    ent_coef: float = Field(default=0.001, ge=0, le=10)
    vf_coef: float = Field(default=0.5, ge=0, le=10)
    max_grad_norm: float = Field(default=0.5, gt=0, le=1000)
    target_kl: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def batches_fit(self) -> "Ppo":
        if self.batch_size > self.rollout:
            raise ValueError(
                f"batch_size must not be above n_envs * n_steps, which is {self.rollout}: "
                "there would be no full batch to learn from"
            )
        return self


class A2c(Rollouts):
    n_steps: int = Field(default=16, ge=2, le=100_000)
    lr: Positive = 7e-4
    gae_lambda: float = Field(default=1.0, ge=0, le=1)
    ent_coef: float = Field(default=0.001, ge=0, le=10)
    vf_coef: float = Field(default=0.5, ge=0, le=10)
    max_grad_norm: float = Field(default=0.5, gt=0, le=1000)


class Replay(Part):
    """Learning from a memory of past decisions, after every `train_every` new ones of each account."""

    n_envs: int = Field(default=16, ge=1, le=1024)
    lr: Positive = 3e-4
    gamma: Positive = 0.99
    buffer_size: int = Field(default=200_000, ge=100, le=100_000_000)
    learning_starts: int = Field(default=2_000, ge=0, le=10_000_000)
    batch_size: int = Field(default=256, ge=2, le=100_000)
    train_every: int = Field(default=4, ge=1, le=1000)
    gradient_steps: int = Field(default=4, ge=1, le=1000)

    @property
    def rollout(self) -> int:
        """Decisions between two moments at which a run may be judged, saved or stopped."""
        return self.n_envs * self.train_every

    @property
    def rows_held(self) -> int:
        """Observations in memory at once: every decision has the one before and the one after."""
        return 2 * self.buffer_size

    @model_validator(mode="after")
    def memory_fits(self) -> "Replay":
        if self.buffer_size < max(self.batch_size, self.n_envs):
            raise ValueError("buffer_size must be at least batch_size and n_envs")
        return self


class Dqn(Replay):
    tau: Positive = 1.0
    target_update: int = Field(default=2_000, ge=1, le=10_000_000)  # decisions between two target networks
    exploration_share: float = Field(default=0.3, gt=0, le=1)  # of the run, until `exploration_end`
    exploration_start: float = Field(default=1.0, ge=0, le=1)
    exploration_end: Fraction = 0.05
    max_grad_norm: float = Field(default=10.0, gt=0, le=1000)


class Sac(Replay):
    tau: Positive = 0.005
    ent_coef: Literal["auto"] | Annotated[float, Field(ge=0, le=10)] = "auto"


class Td3(Replay):
    tau: Positive = 0.005
    noise: float = Field(
        default=0.2, ge=0, le=2
    )  # of exploration, standard deviation of an action in [-1, 1]
    policy_delay: int = Field(default=2, ge=1, le=100)
    target_noise: float = Field(default=0.2, ge=0, le=2)
    target_noise_clip: float = Field(default=0.5, gt=0, le=2)


class Known(NamedTuple):
    """What people choose an algorithm by."""

    title: str
    about: str
    sections: tuple[str, ...]  # of a spec; the first one says how many accounts, learning rate and horizon
    actions: tuple[str, ...]  # kinds it can learn; the first is taken where nobody chose


KNOWN: dict[str, Known] = {
    "ppo": Known("PPO", "steady, forgiving settings", ("ppo",), (*DISCRETE, *CONTINUOUS)),
    "fast_ppo": Known("Fast PPO", "PPO compiled, some 30 times as fast", ("ppo",), (*DISCRETE, *CONTINUOUS)),
    "a2c": Known("A2C", "one plain update per short rollout", ("a2c",), (*DISCRETE, *CONTINUOUS)),
    "dqn": Known("Double DQN", "learns action values from a replay memory", ("dqn",), DISCRETE),
    "sac": Known("SAC", "continuous exposures, explores by entropy", ("sac",), CONTINUOUS),
    "td3": Known("TD3", "continuous exposures, deterministic, two critics", ("td3",), CONTINUOUS),
}
SECTIONS = frozenset(section for known in KNOWN.values() for section in known.sections)


def sections_of(algorithm: object) -> tuple[str, ...]:
    """Return the sections that an algorithm reads; of an unknown one those of the default."""
    return KNOWN[algorithm if isinstance(algorithm, str) and algorithm in KNOWN else "ppo"].sections
