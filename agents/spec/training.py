"""What a training run is asked to do: typed, checked, complete. Stored with every default written out."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator, model_validator

from agents.envs.settings import EnvSettings
from agents.observation import observation_size
from agents.spaces import MOST_PAIRS, WEIGHTS, ActionSpec
from agents.spec.algorithms import (
    DEFAULT_COLUMNS,
    KNOWN,
    MOST_LOOKBACK,
    PLAIN_ONLY,
    SECTIONS,
    A2c,
    Algorithm,
    Dqn,
    Forecast,
    Network,
    Ppo,
    QrDqn,
    QTable,
    Recurrent,
    Reinforce,
    Replay,
    Rollouts,
    Sac,
    Td3,
    Tqc,
    Trpo,
    can_weigh,
    weighing,
)
from agents.spec.devices import Device, misfit
from agents.spec.effect import FORECAST, require_effect
from agents.spec.errors import Misfit, first_error
from agents.spec.memory import require_memory
from agents.spec.parts import Action, Breakers, Curriculum, Fraction, Part, Reward, Stopping, Trading
from agents.spec.team import Team
from agents.spec.versions import upgraded
from agents.times import epoch_ms
from market.candles import MS
from market.errors import BadInput
from market.features import FeatureSet, preset

FromTime = Annotated[int | None, BeforeValidator(partial(epoch_ms, field="from"))]
MOST_BARS = 10**9
LEAST_SHARE = 1e-6  # of the bars; a smaller part of any series is nothing
ToTime = Annotated[int | None, BeforeValidator(partial(epoch_ms, field="to"))]


class TrainingSpec(Part):
    """One training run. `from` and `to` bound the open times of the bars used, `to` excluded."""

    version: Literal[2] = 2
    algorithm: Algorithm = "ppo"
    device: Device = "cpu"  # where it learns; what a GPU carries is written in agents.spec.devices
    series: int | None = Field(default=None, ge=1)
    source: str | None = None
    pair: str | None = None
    interval: str | None = None
    pairs: tuple[str, ...] = ()  # of a portfolio: one account over all of them; empty: over `pair` alone
    basket: tuple[Annotated[int, Field(ge=1)], ...] = ()  # their series, in the same order
    from_ms: FromTime = Field(default=None, alias="from")
    to_ms: ToTime = Field(default=None, alias="to")
    steps: int = Field(default=1_000_000, ge=1, le=10**11)
    seed: int = Field(default=0, ge=0, lt=2**32)
    features: str | dict[str, Any] = "core"
    scaler: Literal["robust", "standard"] = "robust"
    forecast: Forecast = Forecast()
    window: int = Field(default=1, ge=1, le=500)
    action: Action = Action()
    reward: Reward = Reward()
    episode_bars: int = Field(default=1440, ge=0, le=MOST_BARS)
    curriculum: Curriculum = Curriculum()
    max_drawdown: Fraction = (
        0.0  # fall from the peak at which an episode is lost, as a session halts; 0 is off
    )
    limits: Breakers = Breakers()  # one that halts loses the episode
    decision_every: int = Field(default=1, ge=1, le=1440)
    bars_scale: float = Field(default=1440.0, gt=0, le=1e9)
    trading: Trading = Trading()
    validation_share: float = Field(default=0.15, ge=0.01, le=0.5)
    test_share: float = Field(default=0.0, ge=0, le=0.5)  # the last bars, sealed until a person opens them
    embargo_bars: int | None = Field(default=None, ge=0, le=MOST_BARS)
    network: Network = Network()
    ppo: Ppo = Ppo()
    recurrent: Recurrent = Recurrent()
    a2c: A2c = A2c()
    trpo: Trpo = Trpo()
    dqn: Dqn = Dqn()
    qr_dqn: QrDqn = QrDqn()
    sac: Sac = Sac()
    td3: Td3 = Td3()
    tqc: Tqc = Tqc()
    reinforce: Reinforce = Reinforce()
    q_table: QTable = QTable()
    team: Team = Team()
    checkpoint_every: int | None = Field(default=None, ge=1)
    validate_every: int | None = Field(default=None, ge=1)
    stopping: Stopping = Stopping()
    averaging: Fraction = 0.0  # decay per update of the mean of weights that is judged and kept; 0: no mean
    keep: Literal["best", "last"] = "best"  # which judged weights become the model

    @model_validator(mode="before")
    @classmethod
    def several_pairs_are_weighed(cls, values: Any) -> Any:
        """Let whoever names several pairs leave the kind of action out: there is only one."""
        if not isinstance(values, Mapping) or not (values.get("pairs") or values.get("basket")):
            return values
        action = values.get("action", {})
        if not isinstance(action, Mapping) or "kind" in action:
            return values
        return {**values, "action": {**action, "kind": WEIGHTS}}

    @field_validator("pairs")
    @classmethod
    def pairs_are_written_large(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(pair.strip().upper() for pair in value)

    @field_validator("interval")
    @classmethod
    def interval_is_known(cls, value: str | None) -> str | None:
        if value is not None and value not in MS:
            raise ValueError(f"interval must be one of {', '.join(MS)}, not {value!r}")
        return value

    @model_validator(mode="after")
    def parts_fit(self) -> "TrainingSpec":
        if self.from_ms is not None and self.to_ms is not None and self.from_ms >= self.to_ms:
            raise Misfit("from must be earlier than to", "from")
        if self.validation_share + self.test_share > 0.8:
            raise Misfit(
                "validation_share and test_share together must leave 0.2 to learn from", "validation_share"
            )
        if 0 < self.test_share < LEAST_SHARE:
            raise Misfit(f"test_share must be 0 or at least {LEAST_SHARE:f}", "test_share")
        if self.episode_bars and self.episode_bars < self.decision_every:
            raise Misfit(
                "episode_bars must be at least decision_every, or 0 for the whole range", "episode_bars"
            )
        if self.curriculum.stages != "off" and not self.episode_bars:
            raise Misfit(
                "a curriculum chooses where episodes start: set episode_bars above 0", "episode_bars"
            )
        return self

    @model_validator(mode="after")
    def portfolio_fits(self) -> "TrainingSpec":
        if not self.is_portfolio:
            if self.action.kind == WEIGHTS:
                raise ValueError("weights are given to several pairs: name them as pairs")
            if self.trading.pair_ticks or self.trading.pair_steps:
                raise ValueError("pair_ticks and pair_steps are for several pairs: set tick and step")
            return self
        names = self.pairs or self.basket
        if not 2 <= len(set(names)) == len(names) <= MOST_PAIRS:
            raise ValueError(f"a portfolio has 2 to {MOST_PAIRS} pairs, each of them once")
        if self.pairs and self.basket and len(self.pairs) != len(self.basket):
            raise ValueError("pairs and basket must name as many pairs as series: leave one of them out")
        if not can_weigh(self.algorithm):
            raise ValueError(
                f"{self.algorithm} cannot weigh several pairs: choose one of {weighing()}, or one pair"
            )
        self._check_alone()
        return self

    def _check_alone(self) -> None:
        """:raises ValueError: for what a portfolio does not have"""
        if self.action.kind != WEIGHTS:
            raise ValueError(
                f"several pairs are given weights, not {self.action.kind} actions: leave action.kind out"
            )
        if self.pairs and self.pair is not None and self.pair.upper() != self.pairs[0]:
            raise ValueError(f"pair {self.pair} is not the first of pairs: name all of them as pairs")
        if self.series is not None and self.series != (self.basket or (None,))[0]:
            raise ValueError("series is not the first of basket: name all of them as basket, or leave it out")
        if self.forecast.kind != "none" or self.curriculum.stages != "off":
            raise ValueError("forecast and curriculum.stages read one pair: leave them out for several")

    @model_validator(mode="after")
    def algorithm_fits(self) -> "TrainingSpec":
        known = KNOWN[self.algorithm]
        if self.action.kind not in known.actions:
            raise Misfit(
                f"{self.algorithm} cannot learn {self.action.kind} actions: "
                f"set action.kind to {' or '.join(known.actions)}, or choose another algorithm",
                "action.kind",
            )
        for section in sorted(SECTIONS - set(known.sections)):
            if getattr(self, section) != type(self).model_fields[section].default:
                raise Misfit(
                    f"{self.algorithm} reads no {section} settings: write them as {known.sections[0]}.…, "
                    "or choose another algorithm",
                    section,
                )
        return self

    @model_validator(mode="after")
    def team_standardises(self) -> "TrainingSpec":
        if self.algorithm == "team_ppo":
            for name, usual in (("clip_vf", None), ("advantages", "normalised")):
                if getattr(self.ppo, name) != usual:
                    raise Misfit(
                        "a team normalises each specialist's advantages and clips no values: "
                        f"leave ppo.{name} out",
                        f"ppo.{name}",
                    )
        return self

    @model_validator(mode="after")
    def extractor_fits(self) -> "TrainingSpec":
        extractor = self.network.extractor
        if extractor == "mlp":
            return self
        if self.algorithm in PLAIN_ONLY:
            raise Misfit(
                f"{self.algorithm} reads the bare observation: set network.extractor to mlp, "
                "or choose another algorithm (ppo learns the same with any extractor)",
                "network.extractor",
            )
        if self.window < 2:
            raise Misfit(f"a {extractor} reads a window of bars: set window to 2 or more", "window")
        return self

    @model_validator(mode="after")
    def memory_fits(self) -> "TrainingSpec":
        if self.algorithm == "recurrent_ppo" and self.window != 1:
            raise Misfit(
                "recurrent_ppo remembers by itself: leave window at 1 and set recurrent.memory", "window"
            )
        if self.lookback > MOST_LOOKBACK:
            raise Misfit(
                f"recurrent.memory times decision_every reaches back {self.lookback:,} bars; "
                f"{MOST_LOOKBACK:,} are allowed",
                "recurrent.memory",
            )
        return self

    @model_validator(mode="after")
    def team_fits(self) -> "TrainingSpec":
        if not self.is_team:
            return self
        if self.trading.market != "spot":
            raise Misfit(
                "team_ppo shares an account on the spot market: leave trading.market at spot",
                "trading.market",
            )
        if self.reward.normalise != "none":
            raise Misfit(
                "team_ppo compares the specialists' own rewards: leave reward.normalise at none and set "
                "reward.scale",
                "reward.normalise",
            )
        return self

    @property
    def is_team(self) -> bool:
        """Say whether specialists share the account."""
        return self.algorithm == "team_ppo"

    @property
    def is_portfolio(self) -> bool:
        """Say whether one account holds several pairs."""
        return bool(self.pairs or self.basket)

    @property
    def pair_names(self) -> tuple[str, ...]:
        """Return what the pairs of a portfolio are called; empty for one pair."""
        return self.pairs or tuple(f"series {pk}" for pk in self.basket)

    @property
    def lookback(self) -> int:
        """Rows of an observation where the model trades: the window, or what a memory looks back."""
        if self.algorithm != "recurrent_ppo":
            return self.window
        return (self.recurrent.memory - 1) * self.decision_every + 1

    @property
    def learning(self) -> Rollouts | Replay:
        """Return the algorithm's own section."""
        return getattr(self, KNOWN[self.algorithm].sections[0])

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "TrainingSpec":
        """Return the checked spec of a run that is asked for.

        :raises BadInput: naming the first field that cannot be used or never acts, in one sentence
        """
        spec = cls.stored(values)
        require_effect(spec)
        return spec

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> "TrainingSpec":
        """Return the checked spec of a run or card that there is: what never acts may stand in it.

        :raises BadInput: naming the first field that cannot be used, in one sentence
        """
        try:
            spec = cls.model_validate(upgraded(values))
        except ValidationError as error:
            raise first_error(error, setting_names(cls)) from None
        spec.env_settings()
        spec._check_device()
        require_memory(spec)
        spec.table_columns()
        spec.team.rules(spec.reward.decay)
        if spec.is_team:
            spec.team.columns(spec.feature_set())
        return spec

    def _check_device(self) -> None:
        reason = misfit(self) if self.device == "cuda" else ""
        if reason:
            raise BadInput(f"device=cuda: {reason}; take device=auto or cpu, or leave that out", "device")

    @property
    def bytes_held(self) -> int:
        """Bytes of the observations in a rollout or a replay memory, float32."""
        pairs = len(self.pair_names)
        size = observation_size(self.window, max(pairs, 1) * len(self.feature_set()), pairs)
        return 4 * self.learning.rows_held * size

    def table_columns(self) -> tuple[int, ...]:
        """Return which columns of the newest feature row a table reads; the forecast stands behind them.

        :raises BadInput: for a feature that is not among the run's
        """
        names = [*self.feature_set().names, *([FORECAST] if self.forecast.kind != "none" else [])]
        for name in self.q_table.columns:
            if name not in names:
                raise BadInput(
                    f"q_table.columns: {name!r} is no feature of this run; choose among {', '.join(names)}",
                    "q_table.columns",
                )
        chosen = self.q_table.columns or names[:DEFAULT_COLUMNS]
        return tuple(names.index(name) for name in chosen)

    def feature_set(self) -> FeatureSet:
        """Return the features asked for by preset name or written out. :raises BadInput: when unusable"""
        return (
            preset(self.features) if isinstance(self.features, str) else FeatureSet.from_json(self.features)
        )

    def env_settings(self) -> EnvSettings:
        """Return the rules of the training market. :raises BadInput: when they contradict each other"""
        trading = self.trading.model_dump()
        if self.basket and not self.pairs:  # what they are called is known once their series are found
            trading |= {"pair_ticks": {}, "pair_steps": {}}
        return EnvSettings(
            **trading,
            **self.limits.model_dump(),
            action=ActionSpec(self.action.kind, self.action.levels, self.action.band, self.pair_names),
            reward=self.reward.weights(),
            reward_scale=self.reward.scale,
            episode_bars=self.episode_bars,
            max_drawdown=self.max_drawdown,
            decision_every=self.decision_every,
            window=self.window,
            bars_scale=self.bars_scale,
        )

    def completed(self, **found: Any) -> "TrainingSpec":
        """Return the spec with what was left open decided: schedule, features written out, and `found`."""
        rollout = self.learning.rollout
        every = max(rollout, self.steps // 10)
        decided = {
            "features": self.feature_set().to_json(),
            "embargo_bars": self.embargo_bars
            if self.embargo_bars is not None
            else self.feature_set().warmup + self.lookback,  # what an observation reaches back, and one bar
            "checkpoint_every": self.checkpoint_every or max(rollout, self.steps // 20),
            "validate_every": self.validate_every or every,
        }
        return self.model_copy(update={**decided, **found})

    def as_dict(self) -> dict[str, Any]:
        """Return the spec as JSON values by the names it is written with, less other algorithms' settings."""
        others = SECTIONS - set(KNOWN[self.algorithm].sections)
        return self.model_dump(mode="json", by_alias=True, exclude=set(others))


def setting_names(spec: type[BaseModel]) -> dict[str, str]:
    """Return full dotted name -> last part, of every setting."""
    found = {}
    for name, info in spec.model_fields.items():
        written = info.alias or name
        found[written] = written
        if isinstance(info.annotation, type) and issubclass(info.annotation, Part):
            found |= {f"{written}.{leaf}": leaf for leaf in info.annotation.model_fields}
    return found
