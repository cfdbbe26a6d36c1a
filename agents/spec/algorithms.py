"""The algorithms there are, and the sections of a spec that belong to them: typed, bounded, with defaults.

`network` and the first section of an algorithm shape what learns and how; `agents.rl.algorithms` builds it.
"""

from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import Field, model_validator

from agents.spec.errors import Misfit
from agents.spec.parts import Fraction, Part

Algorithm = Literal[
    "ppo", "fast_ppo", "maskable_ppo", "recurrent_ppo", "a2c", "trpo", "dqn", "qr_dqn", "sac", "td3", "tqc",
    "reinforce", "q_table", "team_ppo",
]  # fmt: skip
ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
DISCRETE, CONTINUOUS = ("hold_buy_sell", "levels"), ("continuous", "weights")
Positive = Annotated[float, Field(gt=0, le=1)]
MOST_LOOKBACK = 10_000  # rows of an observation where a model trades
DEFAULT_COLUMNS, MOST_STATES = 3, 1_000_000  # of a table


class Network(Part):
    net_arch: tuple[Annotated[int, Field(ge=1, le=2048)], ...] = Field(
        default=(64, 64), min_length=1, max_length=6
    )
    activation: Literal["tanh", "relu"] = "tanh"
    extractor: Literal["mlp", "tcn", "lstm", "gru", "transformer"] = "mlp"  # what reads the window first
    width: int = Field(default=32, ge=1, le=512)  # of the extractor's code
    layers: int = Field(default=2, ge=1, le=8)
    heads: int = Field(default=2, ge=1, le=16)  # of a transformer's attention
    taps: int = Field(default=3, ge=2, le=16)  # bars that a temporal convolution joins

    @model_validator(mode="after")
    def heads_share_the_width(self) -> "Network":
        if self.extractor == "transformer" and self.width % self.heads:
            raise Misfit(f"width must be a multiple of heads ({self.heads}) for a transformer", "width")
        return self


class Forecast(Part):
    """Boosted trees whose forecast of the return ahead is one more feature (agents.rl.forecasting)."""

    kind: Literal["none", "xgboost"] = "none"
    horizon: int = Field(default=60, ge=1, le=100_000)  # bars ahead
    folds: int = Field(default=5, ge=2, le=20)
    trees: int = Field(default=60, ge=1, le=500)
    depth: int = Field(default=3, ge=1, le=8)
    learning_rate: Positive = 0.1
    least_rows: int = Field(default=100, ge=1, le=1_000_000)  # in a leaf


class Rollouts(Part):
    """Learning from what the present policy has just done: `n_steps` decisions of `n_envs` accounts."""

    n_envs: int = Field(default=64, ge=1, le=131_072)  # tens of thousands are for a GPU
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
    weight_decay: float = Field(default=0.0, ge=0, le=1)  # decoupled, as in AdamW
    target_kl: float | None = Field(default=None, gt=0)
    lr_end: float | None = Field(default=None, ge=0, le=1)  # reached in a straight line at the end of the run
    clip_end: Positive | None = None  # likewise
    clip_vf: float | None = Field(default=None, gt=0, le=1000)  # of the values' change; none: not clipped
    advantages: Literal["normalised", "raw"] = "normalised"  # of each minibatch

    @model_validator(mode="after")
    def batches_fit(self) -> "Ppo":
        if self.batch_size > self.rollout:
            raise Misfit(
                f"batch_size must not be above n_envs * n_steps, which is {self.rollout}: "
                "there would be no full batch to learn from",
                "batch_size",
            )
        return self


class Recurrent(Part):
    """The LSTM of recurrent PPO; it reads the market, the account's numbers go around it."""

    memory: int = Field(default=32, ge=2, le=500)  # decisions that it looks back where it trades
    hidden: int = Field(default=32, ge=1, le=512)
    layers: int = Field(default=1, ge=1, le=4)


class A2c(Rollouts):
    n_steps: int = Field(default=16, ge=2, le=100_000)
    lr: Positive = 7e-4
    gae_lambda: float = Field(default=1.0, ge=0, le=1)
    ent_coef: float = Field(default=0.001, ge=0, le=10)
    vf_coef: float = Field(default=0.5, ge=0, le=10)
    max_grad_norm: float = Field(default=0.5, gt=0, le=1000)


class Trpo(Rollouts):
    n_steps: int = Field(default=64, ge=2, le=100_000)
    lr: Positive = 1e-3  # of the value network; the policy's step follows from target_kl
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    batch_size: int = Field(default=512, ge=2, le=1_000_000)
    target_kl: Positive = 0.01
    value_updates: int = Field(default=10, ge=1, le=1000)

    @model_validator(mode="after")
    def batches_fit(self) -> "Trpo":
        if self.batch_size > self.rollout:
            raise Misfit(
                f"batch_size must not be above n_envs * n_steps, which is {self.rollout}", "batch_size"
            )
        return self


class Reinforce(Rollouts):
    n_steps: int = Field(default=64, ge=2, le=100_000)
    lr: Positive = 3e-3
    ent_coef: float = Field(default=0.001, ge=0, le=10)
    max_grad_norm: float = Field(default=0.5, gt=0, le=1000)
    baseline_steps: int = Field(default=5, ge=1, le=1000)


class QTable(Rollouts):
    """Values of actions per combination of bins: the exposure held, and these features of the newest bar."""

    n_steps: int = Field(default=64, ge=2, le=100_000)
    lr: Positive = 0.1
    columns: tuple[str, ...] = Field(default=(), max_length=8)  # names of features; empty: the first three
    bins: int = Field(default=5, ge=2, le=100)  # of each feature
    edges: Literal["quantile", "uniform"] = "quantile"  # bins of equal count, or of equal width
    exploration_share: Positive = 0.5
    exploration_start: float = Field(default=1.0, ge=0, le=1)
    exploration_end: Fraction = 0.05

    @property
    def rows_held(self) -> int:
        return self.n_envs

    @model_validator(mode="after")
    def table_fits(self) -> "QTable":
        if len(set(self.columns)) != len(self.columns):
            raise Misfit("columns must not name a feature twice", "columns")
        if self.bins ** (len(self.columns) or DEFAULT_COLUMNS) > MOST_STATES:
            raise Misfit(
                f"the table would have more than {MOST_STATES:,} states: take fewer bins or columns", "bins"
            )
        return self


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
            raise Misfit("buffer_size must be at least batch_size and n_envs", "buffer_size")
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


class QrDqn(Dqn):
    quantiles: int = Field(default=25, ge=2, le=500)


class Tqc(Sac):
    quantiles: int = Field(default=25, ge=2, le=500)  # of each critic
    critics: int = Field(default=2, ge=1, le=10)
    dropped: int = Field(default=2, ge=0, le=100)  # highest quantiles of each critic that are not believed

    @model_validator(mode="after")
    def some_are_left(self) -> "Tqc":
        if self.dropped >= self.quantiles:
            raise Misfit("dropped must be below quantiles", "dropped")
        return self


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


ANY = (*DISCRETE, *CONTINUOUS)
KNOWN: dict[str, Known] = {
    "ppo": Known("PPO", "steady, forgiving settings", ("ppo",), ANY),
    "fast_ppo": Known("Fast PPO", "PPO compiled, some 30 times as fast", ("ppo",), ANY),
    "maskable_ppo": Known(
        "Maskable PPO", "PPO that never draws an action which does nothing", ("ppo",), DISCRETE
    ),
    "recurrent_ppo": Known(
        "Recurrent PPO", "PPO with an LSTM's memory", ("ppo", "recurrent"), (*DISCRETE, "continuous")
    ),
    "a2c": Known("A2C", "one plain update per short rollout", ("a2c",), ANY),
    "trpo": Known("TRPO", "each update within a bounded change of the policy", ("trpo",), ANY),
    "dqn": Known("Double DQN", "learns action values from a replay memory", ("dqn",), DISCRETE),
    "qr_dqn": Known("QR-DQN", "learns the spread of action values, too", ("qr_dqn",), DISCRETE),
    "sac": Known("SAC", "continuous exposures, explores by entropy", ("sac",), CONTINUOUS),
    "td3": Known("TD3", "continuous exposures, deterministic, two critics", ("td3",), CONTINUOUS),
    "tqc": Known("TQC", "SAC with critics of quantiles, the highest not believed", ("tqc",), CONTINUOUS),
    "reinforce": Known(
        "REINFORCE", "the plain policy gradient; shows logits, probabilities", ("reinforce",), ANY
    ),
    "q_table": Known("Q-table", "tabular Q-learning over binned features", ("q_table",), DISCRETE),
    "team_ppo": Known("Team PPO", "specialists that share one account", ("ppo", "team"), ("levels",)),
}
PLAIN_ONLY = ("fast_ppo", "recurrent_ppo", "q_table", "team_ppo")  # no features extractor before the rest
SECTIONS = frozenset(section for known in KNOWN.values() for section in known.sections)


def can_weigh(algorithm: str) -> bool:
    """Say whether an algorithm learns weights of several pairs."""
    return "weights" in KNOWN[algorithm].actions


def weighing() -> str:
    """Return the names of those that do, for people."""
    return ", ".join(filter(can_weigh, KNOWN))


def sections_of(algorithm: object) -> tuple[str, ...]:
    """Return the sections that an algorithm reads; of an unknown one those of the default."""
    return KNOWN[algorithm if isinstance(algorithm, str) and algorithm in KNOWN else "ppo"].sections
