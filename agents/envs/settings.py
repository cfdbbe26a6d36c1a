"""The rules of a training market: costs, exits, actions, reward, episodes."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from agents.spaces import MOST_LEVERAGE, WEIGHTS, ActionSpec
from market.errors import BadInput
from market.kernel.basket_rules import has_exits
from market.kernel.breakers import Limits
from market.kernel.futures import Margin
from market.kernel.guards import Guards
from market.kernel.instrument import Instrument
from market.kernel.plan import Plan
from market.kernel.reward import Terms
from market.kernel.step import Rules
from market.kernel.watch import WatchRules
from market.plans import (
    RANGES,
    SIZES,
    PositionRules,
    contradiction,
    is_allowed,
    is_on,
    needs_atr,
    plan_of,
)

TERMS = Terms._fields[:-1]
FLOAT_GUARD = 1e-9  # see market.kernel.instrument.floor_to_step
MARKETS = ("spot", "futures")
FRACTIONS = (
    "fee_rate",
    "half_spread",
    "slippage",
    "stop_loss",
    "trailing",
    "ruin",
    "max_drawdown",
    "maintenance",
    "daily_loss",
    "weekly_loss",
    "safe_drawdown",
    "safe_share",
)
COUNTS = ("max_loss_streak", "max_trades_per_day")
SPANS = ("safe_cooldown_s", "exit_cooldown_s", "loss_cooldown_s")
CAPS = ("max_order_share", "max_position")
AMOUNTS = ("tick", "step", "min_notional", "fee_step", "take_profit", *COUNTS, *SPANS, *CAPS)
WATCHED = (
    "daily_loss", "weekly_loss", "safe_drawdown", *COUNTS, "exit_cooldown_s", "loss_cooldown_s", *CAPS
)  # fmt: skip
BY_WEIGHTS = "is a rule on size, and the weights of several pairs are sizes already: leave it out"


@dataclass(frozen=True, slots=True)
class EnvSettings(PositionRules):
    """Everything an environment needs beside candles and features. Fractions are 0.001 for 0.1 %; 0 is off.

    Sizing and further exits are those of `market.plans.PositionRules`.

    Defaults: Roostoo's taker fee, floored to 6 decimals, and its minimum order; rounding of prices and
    quantities is off until the pair's `tick` and `step` are given.
    """

    fee_rate: float = 0.001  # of the notional, taker
    half_spread: float = 0.0  # of the price
    slippage: float = 0.0005  # of the price, beyond the half spread
    tick: float = 0.0  # quote currency
    step: float = 0.0  # base currency
    pair_ticks: Mapping[str, float] = field(default_factory=dict)  # of several pairs, those not as `tick`
    pair_steps: Mapping[str, float] = field(default_factory=dict)  # likewise `step`
    min_notional: float = 1.0  # quote currency; an order must be above it
    fee_step: float = 1e-6  # quote currency
    stop_loss: float = 0.0  # of the entry price
    take_profit: float = 0.0  # of the entry price
    trailing: float = 0.0  # of the best price since entry
    initial_cash: float = 10_000.0  # quote currency
    max_exposure: float = 1.0  # share of equity, long or short; of futures up to the leverage
    market: str = "spot"  # or futures, see market.kernel.futures
    leverage: float = 1.0  # futures: most notional over equity, and over a position's own margin
    maintenance: float = 0.005  # futures: share of the notional at which a position is liquidated
    funding_rate: float = 0.0001  # futures: share of the notional that longs pay to shorts
    funding_hours: float = 8.0  # futures: between two payments, counted from 1970
    max_drawdown: float = 0.0  # fall from the peak of equity at which the episode is lost, as live it halts
    # Breakers and entry guards, see market.kernel.watch; one that halts ends the episode, which is lost then.
    daily_loss: float = 0.0  # of the equity at the start of the UTC day
    weekly_loss: float = 0.0  # of the equity at the start of the UTC week
    safe_drawdown: float = 0.0  # of the peak since safe mode was last entered, then safe mode
    safe_share: float = 0.05  # of equity that a position may reach in safe mode
    safe_cooldown_s: float = 3600.0
    max_loss_streak: int = 0  # closing fills with a loss in a row, then safe mode
    exit_cooldown_s: float = 0.0  # no entry for so long after an exit
    loss_cooldown_s: float = 0.0  # or after one with a loss
    max_trades_per_day: int = 0  # fills
    max_order_share: float = 0.0  # of equity that one order may open, up to 1
    max_position: float = 0.0  # quote currency, value of the position behind an entry
    ruin: float = 0.1  # share of the initial cash below which the episode is lost
    action: ActionSpec = field(default_factory=ActionSpec)
    reward: Terms = field(default=Terms(log_return=1.0))
    reward_scale: float = 1.0
    episode_bars: int = (
        1440  # bars of an episode that starts anywhere; 0 = the whole range from its beginning
    )
    decision_every: int = 1  # bars between two decisions; exits act on every bar
    window: int = 1  # feature rows in an observation
    bars_scale: float = 1440.0  # bars in a position at which "time in position" reads one half

    def __post_init__(self) -> None:
        for name in (*FRACTIONS, *AMOUNTS, "initial_cash", "max_exposure", "reward_scale", "bars_scale"):
            _require(_is_number(getattr(self, name)), name, "must be a finite number")
        for name in (*AMOUNTS, *FRACTIONS):
            _require(getattr(self, name) >= 0, name, "must not be negative")
        for name in FRACTIONS:
            _require(getattr(self, name) < 1, name, "is a fraction and must be below 1 (0.001 is 0.1 %)")
        for name in ("initial_cash", "max_exposure", "reward_scale", "bars_scale"):
            _require(getattr(self, name) > 0, name, "must be above 0")
        self._check_market()
        _require(
            self.max_order_share <= 1, "max_order_share", "must be at most 1, which is all of the equity"
        )
        _require(self.half_spread + self.slippage < 1, "slippage", "and half_spread together must be below 1")
        _require_terms(self.reward)
        for name, least in (("episode_bars", 0), ("decision_every", 1), ("window", 1)):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            _require(whole and value >= least, name, f"must be a whole number of at least {least}")
        for name, allowed in RANGES.items():
            _require(is_allowed(name, getattr(self, name)), name, f"must be {allowed.words}")
        if found := contradiction(self._values()):
            raise BadInput(found[1], found[0])
        self.action.capped(self.max_exposure)
        self._check_basket()

    def _check_basket(self) -> None:
        for name in ("pair_ticks", "pair_steps"):
            for pair, value in getattr(self, name).items():
                _require(_is_number(value) and value >= 0, name, "must be numbers of at least 0, by pair")
                is_known = pair in self.action.pairs or not self.is_basket
                _require(is_known, name, f"name {pair}, which is none of the pairs")
        if not self.is_basket:
            return
        _require(not self.is_futures, "market", "must be spot where weights are given to several pairs")
        for name in (*SIZES, "dca_lots"):
            _require(not getattr(self, name), name, BY_WEIGHTS)

    def _check_market(self) -> None:
        for name in ("leverage", "funding_rate", "funding_hours"):
            _require(_is_number(getattr(self, name)), name, "must be a finite number")
        _require(self.market in MARKETS, "market", f"must be one of {', '.join(MARKETS)}")
        _require(1 <= self.leverage <= MOST_LEVERAGE, "leverage", f"must lie between 1 and {MOST_LEVERAGE}")
        _require(self.funding_hours > 0, "funding_hours", "must be above 0")
        most, place = (self.leverage, "the leverage") if self.is_futures else (1.0, "1 on the spot market")
        _require(self.is_futures or self.leverage == 1, "leverage", "needs market=futures: spot has none")
        _require(self.max_exposure <= most, "max_exposure", f"must be at most {place}")
        widest = max(abs(self.action.levels[0]), abs(self.action.levels[-1]))
        _require(widest <= most, "levels", f"of an action are shares of equity and must be at most {place}")
        if self.is_futures:
            _require(
                self.maintenance * self.leverage < 1, "maintenance", "times leverage must be below 1: a new "
                "position would be liquidated at once",
            )  # fmt: skip
            _require(
                abs(self.funding_rate) <= self.maintenance, "funding_rate", "must not be above maintenance"
            )
            _require(not self.dca_lots, "dca_lots", "(averaging cycles) is a rule for the spot market only")

    @property
    def is_basket(self) -> bool:
        """Say whether the account holds several pairs by weights."""
        return self.action.kind == WEIGHTS

    def roundings(self) -> tuple[list[float], list[float]]:
        """Return (ticks, steps) of the pairs, in their order."""
        pairs = self.action.pairs
        ticks = [float(self.pair_ticks.get(pair, self.tick)) for pair in pairs]
        return ticks, [float(self.pair_steps.get(pair, self.step)) for pair in pairs]

    @property
    def is_futures(self) -> bool:
        return self.market == "futures"

    def margin(self) -> Margin:
        """Return the kernel's view of the market, in floats; leverage 0 is spot."""
        return Margin(float(self.leverage) if self.is_futures else 0.0, float(self.maintenance))

    @property
    def allowed_action(self) -> ActionSpec:
        """Return the actions with `max_exposure` applied; what the environments trade by."""
        return self.action.capped(self.max_exposure)

    def rules(self) -> Rules:
        """Return the kernel's rules, in floats."""
        names = Rules._fields[:-1]
        return Rules._make([*(float(getattr(self, name)) for name in names), FLOAT_GUARD])

    def plan(self) -> Plan:
        """Return the kernel's rules on sizing and exits, in floats."""
        return plan_of(self._values())

    @property
    def has_plan(self) -> bool:
        """Say whether any rule of `plan` is switched on."""
        return is_on(self._values())

    def watch_rules(self) -> WatchRules:
        """Return the kernel's breakers and entry guards; `max_drawdown` ends episodes by itself."""
        return watch_rules(
            {name: getattr(self, name) for name in (*WATCHED, "safe_share", "safe_cooldown_s")}
        )

    @property
    def is_watched(self) -> bool:
        """Say whether any rule of `watch_rules`, or a cap on orders, is switched on."""
        return any(getattr(self, name) for name in WATCHED)

    @property
    def has_exits(self) -> bool:
        """Say whether any rule can leave a position."""
        return has_exits(self.rules(), self.plan())

    @property
    def needs_atr(self) -> bool:
        return needs_atr(self._values())

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*RANGES, "stop_loss", "trailing")}

    def for_instrument(self, instrument: Instrument) -> "EnvSettings":
        """Return these settings with a pair's own tick, step, minimum, fee and fee rounding."""
        own = instrument.as_float()
        found = {
            "tick": own.tick,
            "step": own.step,
            "min_notional": own.min_notional,
            "fee_rate": own.taker_fee,
            "fee_step": own.fee_step,
        }
        return EnvSettings.from_dict({**self.to_dict(), **found})

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "action": self.action.to_dict(), "reward": self.reward._asdict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "EnvSettings":
        """Read what `to_dict` wrote. :raises BadInput: for unknown keys or values that make no sense"""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise BadInput(f"there is no environment setting {sorted(unknown)[0]!r}", sorted(unknown)[0])
        known = dict(values)
        if isinstance(known.get("action"), Mapping):
            known["action"] = ActionSpec.from_dict(known["action"])
        if isinstance(known.get("reward"), Mapping):
            known["reward"] = terms_of(known["reward"])
        return cls(**known)


def watch_rules(values: Mapping[str, float]) -> WatchRules:
    """Return the kernel's breakers and entry guards from settings named as in a risk profile.

    What only a live session knows is off: spread and age of a price, errors of a venue, a model's health.
    """
    limits = Limits(
        float(values["daily_loss"]), float(values["weekly_loss"]), float(values.get("max_drawdown", 0)),
        float(values["safe_drawdown"]), values["max_loss_streak"], 0, 0, 0, 0, 0,
    )  # fmt: skip
    exit_ms, loss_ms = int(values["exit_cooldown_s"] * 1000), int(values["loss_cooldown_s"] * 1000)
    guards = Guards(0, 0, 0, exit_ms, loss_ms, values["max_trades_per_day"])
    return WatchRules(limits, guards, float(values["safe_share"]), int(values["safe_cooldown_s"] * 1000))


def terms_of(weights: Mapping[str, float]) -> Terms:
    """Return reward terms from their weights by name. :raises BadInput: for a term that there is not"""
    unknown = sorted(set(weights) - set(Terms._fields))
    if unknown:
        raise BadInput(
            f"there is no reward term {unknown[0]!r}; choose from {', '.join(TERMS)}, and decay", "reward"
        )
    return Terms(**{name: float(weight) for name, weight in weights.items()})


def _require_terms(terms: object) -> None:
    if not isinstance(terms, Terms):
        raise BadInput("reward must hold weights of reward terms", "reward")
    for name in TERMS:
        weight = getattr(terms, name)
        _require(_is_number(weight) and weight >= 0, "reward", f"term {name} needs a weight of at least 0")
    _require(any(getattr(terms, name) for name in TERMS), "reward", "needs a term with a weight above 0")
    _require(_is_number(terms.decay) and 0 < terms.decay < 1, "reward", "decay must lie between 0 and 1")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(is_met: bool, name: str, sentence: str) -> None:
    if not is_met:
        raise BadInput(f"{name} {sentence}", name)
