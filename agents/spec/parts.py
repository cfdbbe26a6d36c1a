"""The sections of a training spec: typed, bounded, with their defaults."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from agents.envs.settings import terms_of
from agents.spaces import MOST_LEVERAGE
from agents.spec.errors import Misfit
from market.kernel.reward import Terms

KIND_TERMS = {
    "log_return": "log_return",
    "differential_sharpe": "sharpe",
    "differential_sortino": "sortino",
    "benchmark_relative": "benchmark",
}
MOST_MONEY = 1e12  # quote currency; beyond it float64 no longer tells cents apart
Fraction = Annotated[float, Field(ge=0, lt=1)]
Span = Annotated[float, Field(ge=0, le=30 * 86_400)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


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
    kind: Literal["hold_buy_sell", "levels", "continuous", "weights"] = "hold_buy_sell"
    levels: tuple[float, ...] = (0.0, 1.0)
    band: Fraction = 0.01


class Reward(Part):
    """What a bar is worth to the learner: weighted terms, of `kind` or written out, times `scale`."""

    kind: Literal["log_return", "differential_sharpe", "differential_sortino", "benchmark_relative"] = (
        "log_return"
    )
    terms: dict[str, Annotated[float, Field(ge=0, le=1e6)]] = {}  # weights; replaces kind and penalty
    scale: float = Field(default=100.0, gt=0, le=1e6)
    drawdown_penalty: float = Field(default=0.0, ge=0, le=100)
    decay: float = Field(default=0.01, gt=0, lt=1)  # of the ratios' moments
    normalise: Literal["none", "returns"] = "none"  # divide by the running deviation of discounted returns

    @model_validator(mode="after")
    def terms_stand_alone(self) -> "Reward":
        if self.terms and (self.kind != "log_return" or self.drawdown_penalty):
            raise Misfit(
                "reward.terms says all there is: leave reward.kind and reward.drawdown_penalty out and write "
                "them as terms",
                "terms",
            )
        if self.terms and not any(self.terms.values()):
            raise Misfit("reward.terms needs a term with a weight above 0", "terms")
        return self

    def weights(self) -> Terms:
        """Return the kernel's terms. :raises BadInput: for a term that there is not"""
        if self.terms:
            return terms_of({**self.terms, "decay": self.decay})
        return terms_of({KIND_TERMS[self.kind]: 1.0, "drawdown": self.drawdown_penalty, "decay": self.decay})


class Curriculum(Part):
    """What is easier at first: bars to start in (calm, then volatile, then crashes), and costs."""

    stages: Literal["off", "volatility"] = "off"
    look_back: int = Field(default=1440, ge=10, le=100_000)  # bars that tell a bar's class
    promote_at: float = Field(default=0.0, ge=-100, le=100)  # mean episode return, unscaled
    episodes: int = Field(default=100, ge=1, le=100_000)  # finished episodes that the mean is over
    longest: Fraction = 0.25  # share of the run's steps after which a stage is passed anyway
    # An agent that pays in full from its first, random decision on learns not to trade before it learns when.
    costs_from: float = Field(default=1.0, ge=0, le=1)  # share of fee, spread and slippage at the beginning
    costs_until: Fraction = 0.5  # share of the run's steps after which they are charged in full


class Stopping(Part):
    """When a run ends before its steps are done; 0 is off. Losses that are no numbers always end it."""

    patience: int = Field(default=0, ge=0, le=10_000)  # validations without a better score
    min_delta: float = Field(default=0.0, ge=0, le=100)  # by which a score must be better to count
    gap: float = Field(default=0.0, ge=0, le=1000)  # training score above validation score: over-fitting
    gap_patience: int = Field(default=3, ge=1, le=10_000)  # validations in a row with a wider gap
    max_kl: float = Field(default=0.0, ge=0, le=1000)  # of one update; beyond it the run fails
    min_entropy: float = Field(default=0.0, ge=0, le=100)  # nats; below it the run fails


class Breakers(Part):
    """Breakers on marked equity and guards of entries, named as in a risk profile; 0 switches one off."""

    daily_loss: Fraction = 0.0  # of the equity at the start of the UTC day
    weekly_loss: Fraction = 0.0  # of the equity at the start of the UTC week
    safe_drawdown: Fraction = 0.0  # of the peak since safe mode was last entered
    safe_share: Fraction = 0.05  # of equity that a position may reach in safe mode
    safe_cooldown_s: Span = 3600.0
    max_loss_streak: Count = 0  # closing fills with a loss in a row, then safe mode
    exit_cooldown_s: Span = 0.0  # no entry for so long after an exit
    loss_cooldown_s: Span = 0.0  # or after one with a loss
    max_trades_per_day: Count = 0
    max_order_share: float = Field(default=0.0, ge=0, le=1)  # of equity that one order may open
    max_position: float = Field(default=0.0, ge=0, le=MOST_MONEY)  # quote currency, behind an entry


class Trading(Part):
    """Costs and exits of the training market; the defaults are Roostoo's taker."""

    fee_rate: Fraction = 0.001
    half_spread: Fraction = 0.0
    slippage: Fraction = 0.0005
    tick: float = Field(default=0.0, ge=0, le=MOST_MONEY)
    step: float = Field(default=0.0, ge=0, le=MOST_MONEY)
    # Of a portfolio's pairs, by name; who is not named has `tick` and `step`.
    pair_ticks: dict[str, Annotated[float, Field(ge=0, le=MOST_MONEY)]] = {}
    pair_steps: dict[str, Annotated[float, Field(ge=0, le=MOST_MONEY)]] = {}
    min_notional: float = Field(default=1.0, ge=0, le=MOST_MONEY)
    fee_step: float = Field(default=1e-6, ge=0, le=MOST_MONEY)
    stop_loss: Fraction = 0.0
    take_profit: float = Field(default=0.0, ge=0, le=1000)
    trailing: Fraction = 0.0
    initial_cash: float = Field(default=10_000.0, gt=0, le=MOST_MONEY)
    max_exposure: float = Field(default=1.0, gt=0, le=MOST_LEVERAGE)
    # Futures, see market.kernel.futures: leverage, liquidation, and funding that longs pay to shorts.
    market: Literal["spot", "futures"] = "spot"
    leverage: float = Field(default=1.0, ge=1, le=MOST_LEVERAGE)
    maintenance: Fraction = 0.005
    funding_rate: float = Field(default=0.0001, ge=-0.1, le=0.1)
    funding_hours: float = Field(default=8.0, gt=0, le=1000)
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
