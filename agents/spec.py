"""What a training run is asked to do: typed, checked, complete. Stored with every default written out."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from agents.envs.settings import EnvSettings
from agents.spaces import ActionSpec
from agents.times import epoch_ms
from market.candles import MS
from market.errors import BadInput
from market.features import FeatureSet, preset

ALGORITHMS = ("ppo", "fast_ppo")
MOST_MONEY = 1e12  # quote currency; beyond it float64 no longer tells cents apart
MOST_ROLLOUT_BYTES = 8 * 2**30  # of the observations between two updates, float32
Fraction = Annotated[float, Field(ge=0, lt=1)]
FromTime = Annotated[int | None, BeforeValidator(partial(epoch_ms, field="from"))]
ToTime = Annotated[int | None, BeforeValidator(partial(epoch_ms, field="to"))]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false, which pydantic would take for 1 and 0; no setting here is a yes or no."""
        if isinstance(value, bool):
            raise ValueError(f"{info.field_name} must not be true or false")
        return value


class Action(Part):
    kind: Literal["hold_buy_sell", "levels", "continuous"] = "hold_buy_sell"
    levels: tuple[float, ...] = (0.0, 1.0)
    band: Fraction = 0.01


class Reward(Part):
    kind: Literal["log_return", "differential_sharpe"] = "log_return"
    scale: float = Field(default=100.0, gt=0, le=1e6)
    drawdown_penalty: float = Field(default=0.0, ge=0, le=100)


class Trading(Part):
    """Costs and exits of the training market; the defaults are Roostoo's taker."""

    fee_rate: Fraction = 0.001
    half_spread: Fraction = 0.0
    slippage: Fraction = 0.0005
    tick: float = Field(default=0.0, ge=0, le=MOST_MONEY)
    step: float = Field(default=0.0, ge=0, le=MOST_MONEY)
    min_notional: float = Field(default=1.0, ge=0, le=MOST_MONEY)
    fee_step: float = Field(default=1e-6, ge=0, le=MOST_MONEY)
    stop_loss: Fraction = 0.0
    take_profit: float = Field(default=0.0, ge=0, le=1000)
    trailing: Fraction = 0.0
    initial_cash: float = Field(default=10_000.0, gt=0, le=MOST_MONEY)
    max_exposure: float = Field(default=1.0, gt=0, le=1)
    # Sizing and further exits, see market.plans: it checks their ranges, 0 is off.
    stop_atr: float = 0.0
    trailing_atr: float = 0.0
    trail_step: float = 0.0
    reward_ratio: float = 0.0
    break_even: float = 0.0
    max_bars: int = 0
    atr_bars: int = 14
    size_fraction: float = 0.0
    risk_per_trade: float = 0.0
    volatility_target: float = 0.0
    kelly_fraction: float = 0.0
    kelly_cap: float = 0.5
    kelly_trades: int = 50
    kelly_min_trades: int = 20
    streak_losses: int = 0
    streak_factor: float = 0.5
    resize_band: float = 0.1
    dca_lots: int = 0
    dca_first: float = 0.05
    dca_spacing: float = 0.01
    dca_growth: float = 1.5
    dca_reluctance: float = 4.0
    dca_profit: float = 0.01
    dca_max_loss: float = 0.05


class Network(Part):
    net_arch: tuple[Annotated[int, Field(ge=1, le=2048)], ...] = Field(
        default=(64, 64), min_length=1, max_length=6
    )
    activation: Literal["tanh", "relu"] = "tanh"


class Ppo(Part):
    n_envs: int = Field(default=64, ge=1, le=8192)
    n_steps: int = Field(default=128, ge=2, le=100_000)
    batch_size: int = Field(default=1024, ge=2, le=1_000_000)
    epochs: int = Field(default=10, ge=1, le=100)
    lr: float = Field(default=3e-4, gt=0, le=1)
    gamma: float = Field(default=0.99, gt=0, le=1)
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    clip: float = Field(default=0.2, gt=0, le=1)
    ent_coef: float = Field(default=0.001, ge=0, le=10)
    vf_coef: float = Field(default=0.5, ge=0, le=10)
    max_grad_norm: float = Field(default=0.5, gt=0, le=1000)
    target_kl: float | None = Field(default=None, gt=0)

    @property
    def rollout(self) -> int:
        return self.n_envs * self.n_steps

    @model_validator(mode="after")
    def batches_fit(self) -> "Ppo":
        if self.batch_size > self.rollout:
            raise ValueError(
                f"batch_size must not be above n_envs * n_steps, which is {self.rollout}: "
                "there would be no full batch to learn from"
            )
        return self


class TrainingSpec(Part):
    """One training run. `from` and `to` bound the open times of the bars used, `to` excluded."""

    version: Literal[1] = 1
    algorithm: Literal["ppo", "fast_ppo"] = "ppo"
    series: int | None = Field(default=None, ge=1)
    source: str | None = None
    pair: str | None = None
    interval: str | None = None
    from_ms: FromTime = Field(default=None, alias="from")
    to_ms: ToTime = Field(default=None, alias="to")
    steps: int = Field(default=1_000_000, ge=1, le=10**11)
    seed: int = Field(default=0, ge=0, lt=2**32)
    features: str | dict[str, Any] = "core"
    scaler: Literal["robust", "standard"] = "robust"
    window: int = Field(default=1, ge=1, le=500)
    action: Action = Action()
    reward: Reward = Reward()
    episode_bars: int = Field(default=1440, ge=0)
    max_drawdown: Fraction = (
        0.0  # fall from the peak at which an episode is lost, as a session halts; 0 is off
    )
    decision_every: int = Field(default=1, ge=1, le=1440)
    bars_scale: float = Field(default=1440.0, gt=0, le=1e9)
    trading: Trading = Trading()
    validation_share: float = Field(default=0.15, ge=0.01, le=0.5)
    embargo_bars: int | None = Field(default=None, ge=0)
    network: Network = Network()
    ppo: Ppo = Ppo()
    checkpoint_every: int | None = Field(default=None, ge=1)
    validate_every: int | None = Field(default=None, ge=1)
    averaging: Fraction = 0.0  # decay per update of the mean of weights that is judged and kept; 0: no mean
    keep: Literal["best", "last"] = "best"  # which judged weights become the model

    @field_validator("interval")
    @classmethod
    def interval_is_known(cls, value: str | None) -> str | None:
        if value is not None and value not in MS:
            raise ValueError(f"interval must be one of {', '.join(MS)}, not {value!r}")
        return value

    @model_validator(mode="after")
    def parts_fit(self) -> "TrainingSpec":
        if self.from_ms is not None and self.to_ms is not None and self.from_ms >= self.to_ms:
            raise ValueError("from must be earlier than to")
        if self.episode_bars and self.episode_bars < self.decision_every:
            raise ValueError("episode_bars must be at least decision_every, or 0 for the whole range")
        return self

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "TrainingSpec":
        """Return the checked spec.

        :raises BadInput: naming the first field that cannot be used, in one sentence
        """
        try:
            spec = cls.model_validate(dict(values))
        except ValidationError as error:
            raise first_error(error) from None
        spec.env_settings()
        spec._check_memory()
        return spec

    def _check_memory(self) -> None:
        needed = 4 * self.ppo.rollout * self.window * len(self.feature_set())
        if needed > MOST_ROLLOUT_BYTES:
            raise BadInput(
                f"n_envs * n_steps * window * features would need {needed / 2**30:,.0f} GiB of memory for "
                f"one update; {MOST_ROLLOUT_BYTES // 2**30} are allowed",
                "ppo.n_steps",
            )

    def feature_set(self) -> FeatureSet:
        """Return the features asked for by preset name or written out. :raises BadInput: when unusable"""
        return (
            preset(self.features) if isinstance(self.features, str) else FeatureSet.from_json(self.features)
        )

    def env_settings(self) -> EnvSettings:
        """Return the rules of the training market. :raises BadInput: when they contradict each other"""
        return EnvSettings(
            **self.trading.model_dump(),
            action=ActionSpec(self.action.kind, self.action.levels, self.action.band),
            reward=self.reward.kind,
            reward_scale=self.reward.scale,
            drawdown_penalty=self.reward.drawdown_penalty,
            episode_bars=self.episode_bars,
            max_drawdown=self.max_drawdown,
            decision_every=self.decision_every,
            window=self.window,
            bars_scale=self.bars_scale,
        )

    def completed(self, **found: Any) -> "TrainingSpec":
        """Return the spec with what was left open decided: schedule, features written out, and `found`."""
        rollout = self.ppo.rollout
        every = max(rollout, self.steps // 10)
        decided = {
            "features": self.feature_set().to_json(),
            "embargo_bars": self.embargo_bars
            if self.embargo_bars is not None
            else self.feature_set().warmup + self.window,
            "checkpoint_every": self.checkpoint_every or max(rollout, self.steps // 20),
            "validate_every": self.validate_every or every,
        }
        return self.model_copy(update={**decided, **found})

    def as_dict(self) -> dict[str, Any]:
        """Return the spec as JSON values, with the names it is written with."""
        return self.model_dump(mode="json", by_alias=True)


def over_preset(name: str, chosen: Mapping[str, Any], pairs: Sequence[str] = ()) -> dict[str, Any]:
    """Return the spec that a preset, what a person chose, and `key=value` settings make, in that order.

    A section keeps what nobody chose: `{"ppo": {"lr": 1e-4}}` changes the preset's learning rate only. A key
    of `chosen` may be dotted or short, as in `apply_overrides`. A series says its own interval.

    :param name: of the preset; "" starts from the defaults.
    :raises BadInput: for a preset or key that there is not.
    """
    if name and name not in PRESETS:
        raise BadInput(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}", "preset")
    spec = dict(PRESETS.get(name, {}))
    if "series" in chosen:
        spec.pop("interval", None)
    return apply_overrides(_laid_over(spec, chosen), pairs)


def _laid_over(spec: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in spec.items()}
    sections = {full.partition(".")[0] for full in _names() if "." in full}
    for key, value in chosen.items():
        section, _, leaf = _full_name(key).rpartition(".")
        if section:
            _section(changed, section, key)[leaf] = value
        elif leaf in sections and isinstance(value, Mapping):
            _section(changed, leaf, key).update(value)
        else:
            changed[leaf] = value
    return changed


def _section(spec: dict[str, Any], name: str, key: str) -> dict[str, Any]:
    inner = spec.setdefault(name, {})
    if not isinstance(inner, dict):
        raise BadInput(f"{name} must be an object before {key} can be set", "set")
    return inner


def apply_overrides(values: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """Return a spec with `key=value` settings laid over it.

    A key is dotted (`ppo.lr=1e-4`), or its last part where that is unambiguous (`lr=1e-4`). A value is JSON,
    or else text.

    :raises BadInput: for a pair without `=` or a key that no spec has
    """
    return _laid_over(values, key_values(pairs))


def key_values(pairs: Sequence[str]) -> dict[str, Any]:
    """Return `key=value` texts as a dict; a value is JSON, or else text. :raises BadInput: without `=`"""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise BadInput(f"{pair!r} must have the form key=value", "set")
        try:
            found[key.strip()] = orjson.loads(text)
        except orjson.JSONDecodeError:
            found[key.strip()] = text
    return found


def _names() -> dict[str, str]:
    """Return full dotted name -> last part, of every setting."""
    found = {}
    for name, info in TrainingSpec.model_fields.items():
        written = info.alias or name
        found[written] = written
        if isinstance(info.annotation, type) and issubclass(info.annotation, Part):
            found |= {f"{written}.{leaf}": leaf for leaf in info.annotation.model_fields}
    return found


def _full_name(key: str) -> str:
    names = _names()
    if key in names:
        return key
    fitting = [full for full, leaf in names.items() if leaf == key]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise BadInput(f"{key!r} could mean {' or '.join(fitting)}: write it out", "set")
    raise BadInput(_unknown(key, names), "set")


def _unknown(key: str, names: Mapping[str, str]) -> str:
    near = get_close_matches(key, [*names, *names.values()], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no training setting {key!r}{hint}"


def first_error(error: ValidationError) -> BadInput:
    """Return the first thing pydantic objects to, as one sentence that names the field."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
    where = ".".join(part for part in where.split(".") if part not in ("str", "dict[str,any]"))
    if first["type"] == "extra_forbidden":
        return BadInput(_unknown(where, _names()), where)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, BadInput):
        return cause
    said = str(cause) if isinstance(cause, ValueError) else first["msg"][:1].lower() + first["msg"][1:]
    if not where:
        return BadInput(said)
    given = "" if isinstance(first.get("input"), dict) else f" (got {first.get('input')!r})"
    return BadInput(said if cause else f"{where}: {said}{given}", where)


PRESETS: dict[str, dict[str, Any]] = {
    # Steps of exposure instead of all or nothing: after so little training the agent still trades visibly.
    "demo": {
        "steps": 204_800,
        "features": "core",
        "action": {"kind": "levels", "levels": [0.0, 0.25, 0.5, 0.75, 1.0]},
        "episode_bars": 720,
        "decision_every": 5,
        "validation_share": 0.1,
        "trading": {"slippage": 0.0, "half_spread": 0.0001},
        "ppo": {"n_envs": 64, "n_steps": 128, "batch_size": 1024, "epochs": 6, "ent_coef": 0.01},
    },
    "default-1m": {
        "interval": "1m",
        "steps": 3_000_000,
        "features": "swing",
        "scaler": "standard",
        "episode_bars": 4320,
        "decision_every": 15,
        "reward": {"scale": 1000.0},
        "averaging": 0.98,
        "ppo": {"n_envs": 64, "n_steps": 256, "batch_size": 1024, "epochs": 10, "gamma": 0.995},
    },
    "default-1h": {
        "interval": "1h",
        "steps": 1_000_000,
        "features": "core",
        "episode_bars": 720,
        "decision_every": 1,
        "bars_scale": 24.0,
        "reward": {"scale": 100.0},
        "ppo": {"n_envs": 32, "n_steps": 256, "batch_size": 512, "epochs": 10, "gamma": 0.98},
    },
}
