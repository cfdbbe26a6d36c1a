"""The section of a spec that says who is in a team, what each member sees and is paid for, and who weighs."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from agents.envs.settings import terms_of
from agents.envs.team import TeamRules
from agents.spec.errors import Misfit
from agents.spec.parts import Part
from market.errors import BadInput
from market.features import FeatureSet
from market.kernel.quotes import Quoting

Specialist = Literal["momentum", "mean_reversion", "market_making"]
SPECIALISTS: tuple[Specialist, ...] = get_args(Specialist)
DESKS = ("market_making",)
TITLES = {"momentum": "Momentum", "mean_reversion": "Mean reversion", "market_making": "Market making"}
REWARDS: dict[str, dict[str, float]] = {
    "momentum": {"log_return": 1.0},
    "mean_reversion": {"log_return": 1.0, "holding_risk": 1.0},
    "market_making": {"log_return": 1.0, "holding_risk": 5.0},
}

# Kinds of features by who reads them; what nobody claims, as the time of day, everybody sees.
_TRENDS = (
    "log_return rocp mom ppo apo macd macd_signal macd_hist trix coppock dpo qstick fosc bull_power "
    "bear_power ao ac sma ema wma dema tema trima kama t3 hma zlema rma linearreg tsf ht_trendline sar "
    "supertrend adx adxr dx plus_di minus_di di_difference aroonosc aroon_up aroon_down vortex tsi er vhf "
    "linearreg_slope donchian_position"
)
_EXTREMES = (
    "log_return zscore return_zscore sma ema kama midpoint midprice linearreg tsf vwma bbands_position "
    "keltner_position donchian_position accbands_position rsi cmo cci willr ultosc stoch_k stoch_d stochf_k "
    "stochrsi_d kdj_j smi smi_signal rvi imi percentrank ht_inphase ht_quadrature"
)
_FLOW = (
    "log_return gap body span close_location upper_shadow lower_shadow bop natr trange adr avgdev volatility "
    "volatility_ratio realised_volatility downside_volatility parkinson garman_klass rogers_satchell massi "
    "bbands_width donchian_width range_zscore skewness range_correlation range_beta mfi cmf obv_share rvol "
    "pvo adosc efi value_zscore return_value_correlation zscore"
)
SEES: dict[str, frozenset[str]] = {
    "momentum": frozenset(_TRENDS.split()),
    "mean_reversion": frozenset(_EXTREMES.split()),
    "market_making": frozenset(_FLOW.split()),
}
_CLAIMED = frozenset().union(*SEES.values())


class Team(Part):
    """Specialists that share one account (docs/environments.md); weights sum to 1 once they are shares."""

    specialists: tuple[Specialist, ...] = Field(default=SPECIALISTS, min_length=2)
    networks: Literal["own", "shared"] = "own"  # one each, or one that is told who it speaks for
    allocator: Literal["learned", "fixed"] = "learned"
    weights: dict[Specialist, Annotated[float, Field(ge=0, le=1000)]] = {}  # of fixed; absent: 1
    allocator_lr: float = Field(default=0.003, gt=0, le=1)
    allocator_entropy: float = Field(default=0.01, ge=0, le=10)  # keeps weights from one side
    features: dict[Specialist, tuple[str, ...]] = {}  # by name; absent: those of its kind
    rewards: dict[Specialist, dict[str, Annotated[float, Field(ge=0, le=1e6)]]] = {}  # absent: its own
    account: Literal["seen", "unseen"] = "seen"  # by specialists: what they see, they can follow
    quote_offset: float = Field(default=0.001, gt=0, lt=0.5)  # of a desk's quotes from the close
    quote_size: float = Field(default=0.1, gt=0, le=1)  # share of equity around the wished inventory
    maker_fee: float = Field(default=0.0005, ge=0, lt=1)

    @model_validator(mode="after")
    def members_fit(self) -> "Team":
        if len(set(self.specialists)) != len(self.specialists):
            raise Misfit("team.specialists must not name one twice", "specialists")
        for name in ("weights", "features", "rewards"):
            strangers = sorted(set(getattr(self, name)) - set(self.specialists))
            if strangers:
                raise Misfit(f"team.{name} names {strangers[0]}, who is not among team.specialists", name)
        if self.allocator == "learned" and self.weights:
            raise Misfit(
                "a learned allocator finds its own weights: leave team.weights out, or set team.allocator to "
                "fixed",
                "weights",
            )
        if not sum(self.shares):
            raise Misfit("team.weights needs a weight above 0", "weights")
        return self

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the fixed weights as shares of the account; equal ones of a learned allocator."""
        given = [float(self.weights.get(name, 1.0)) for name in self.specialists]
        return tuple(weight / (sum(given) or 1.0) for weight in given)

    def rules(self, decay: float) -> TeamRules:
        """Return what the environment pays. :raises BadInput: for a reward term that there is not"""
        terms = [self.rewards.get(name) or REWARDS[name] for name in self.specialists]
        return TeamRules(
            tuple(self.specialists),
            tuple(terms_of({**own, "decay": decay}) for own in terms),
            tuple(name in DESKS for name in self.specialists),
            Quoting(self.quote_offset, self.quote_size, self.maker_fee),
        )

    def columns(self, feature_set: FeatureSet) -> tuple[tuple[int, ...], ...]:
        """Return which columns of a feature row each specialist sees.

        :raises BadInput: for a name that is no feature, or a specialist that would see none
        """
        return tuple(self._columns_of(name, feature_set) for name in self.specialists)

    def _columns_of(self, specialist: str, feature_set: FeatureSet) -> tuple[int, ...]:
        names, own = list(feature_set.names), self.features.get(specialist)  # type: ignore[call-overload]
        where = f"team.features.{specialist}"
        if own is not None:
            for name in own:
                if name not in names:
                    raise BadInput(
                        f"{where}: {name!r} is no feature of this run; choose among {', '.join(names)}", where
                    )
            found = tuple(names.index(name) for name in own)
        else:
            found = _of_kind(specialist, feature_set)
        if not found:
            raise BadInput(
                f"{specialist} would see no feature at all: name some under {where}, or choose another "
                "feature set",
                where,
            )
        return found


def _of_kind(specialist: str, feature_set: FeatureSet) -> tuple[int, ...]:
    hidden = _CLAIMED - SEES[specialist]
    return tuple(at for at, spec in enumerate(feature_set.specs) if spec.kind not in hidden)
