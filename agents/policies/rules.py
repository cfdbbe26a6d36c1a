"""Fixed rules behind the policy protocol: what a trained agent has to beat."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from agents.observation import PORTFOLIO
from agents.policies.chance import uniform
from agents.policies.port import ObservationNeeds, Opinion
from agents.spaces import ActionSpec
from market.errors import BadInput
from market.features import FeatureSet, FeatureSpec, Scaler
from market.kernel.rebalance import is_kept

BAND = 0.01  # a wish nearer than this to what is held is not worth an order; also what counts as dust
VERSION = 1  # raise it when any rule's opinions change
BARS_SCALE = 1440.0
Number = int | float


def unscaled(columns: int) -> Scaler:
    """Return a scaler that changes nothing but the precision (float32)."""
    return Scaler("standard", np.zeros(columns), np.ones(columns), math.inf)


@dataclass(frozen=True, slots=True)
class Bound:
    """Default and bounds (included) of a rule's parameter."""

    default: Number
    low: Number
    high: Number

    def checked(self, name: str, value: Any) -> Number:
        whole = isinstance(self.default, int)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or (whole and value != int(value)) or not self.low <= value <= self.high:
            kind = "a whole number" if whole else "a number"
            raise BadInput(f"{name} must be {kind} from {self.low} to {self.high}, not {value!r}", name)
        return int(value) if whole else float(value)


class Rule:
    """A rule reads its feature values and the exposure held, and names the exposure it wants.

    Subclasses give `about`, `params`, `features()` and `wish()`; the rest is common.
    """

    name: str = ""
    about: ClassVar[str] = ""
    params: ClassVar[dict[str, Bound]] = {}
    decision_every = 1
    can_draw = False

    def __init__(self, **given: Any) -> None:
        unknown = sorted(set(given) - set(self.params))
        if unknown:
            known = ", ".join(self.params) or "none"
            raise BadInput(f"{self.name} has no parameter {unknown[0]!r}; it has: {known}", unknown[0])
        self.settings = {
            key: bound.checked(key, given.get(key, bound.default)) for key, bound in self.params.items()
        }
        self.check()
        feature_set = FeatureSet(self.features())
        self.observation = ObservationNeeds(feature_set, unscaled(len(feature_set)), 1, BARS_SCALE)
        self.action_spec = ActionSpec("hold_buy_sell", (self.lowest, self.exposure), BAND)
        identity = [VERSION, self.name, self.settings, feature_set.hash]
        self.policy_hash = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    @property
    def exposure(self) -> float:
        """Share of equity this rule holds when it is in the market."""
        return 1.0

    @property
    def lowest(self) -> float:
        """Share of equity this rule holds when it is out of the market; below 0 it sells short."""
        return 0.0

    def check(self) -> None:
        """Refuse parameters that make no sense together."""

    def features(self) -> tuple[FeatureSpec, ...]:
        return (FeatureSpec("log_return_1", "log_return", {"period": 1}),)

    def wish(self, values: np.ndarray, held: float) -> float | None:
        """Return the exposure wanted, None to keep what is held; `values` are features, float32 (F,)."""
        raise NotImplementedError

    @property
    def rest(self) -> float:
        """Distance from the wished exposure up to which what is held stays as it is."""
        return 0.0

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what `wish` says of many rows, float32 (n, F): float64 (n,), NaN keeps.

        First for who is out of the market, then for who holds more than `BAND` of it. None of a rule that
        asks about more than that.
        """
        return None

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        return self.opinion(self.wish(observation[: -len(PORTFOLIO)], current_exposure), current_exposure)

    def opinion(self, wished: float | None, held: float) -> Opinion:
        """Return the opinion that asks for an exposure; HOLD when it is held already, or nearly."""
        if wished is None or is_kept(wished, held, BAND) or wished == held:
            return Opinion(0, "HOLD", (1.0, 0.0, 0.0), None, None, None)
        if wished > held:
            return Opinion(1, "BUY", (0.0, 1.0, 0.0), None, None, wished)
        return Opinion(2, "SELL", (0.0, 0.0, 1.0), None, None, wished)

    def reset(self, seed: int) -> None:
        """Nothing here depends on chance."""


class Cash(Rule):
    name, about = "cash", "Never in the market; sells what it holds"

    def wish(self, values: np.ndarray, held: float) -> float | None:
        return None if held == 0 else 0.0

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return alike(np.zeros(len(values)))


class BuyAndHold(Rule):
    name, about = "buy_and_hold", "Buys once with everything and holds"

    def wish(self, values: np.ndarray, held: float) -> float | None:
        return None if held > BAND else 1.0

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(len(values)), np.full(len(values), np.nan)


class TargetWeight(Rule):
    name, about = "target_weight", "Holds a fixed share of equity and trades back to it outside a band"
    params = {"share": Bound(0.5, 0.0, 1.0), "band": Bound(0.05, 0.0, 0.5), "every": Bound(1, 1, 10_000)}

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.decision_every = int(self.settings["every"])

    @property
    def exposure(self) -> float:
        return float(self.settings["share"])

    def wish(self, values: np.ndarray, held: float) -> float | None:
        return None if abs(held - self.exposure) <= self.rest else self.exposure

    @property
    def rest(self) -> float:
        return float(max(self.settings["band"], BAND))

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return alike(np.full(len(values), self.exposure))


class Random(Rule):
    """Chance is a hash of seed and observation: a replay, or a session after a restart, draws alike."""

    name, about = "random", "Switches between cash and market by chance, with a given turnover"
    params = {"turnover": Bound(0.05, 0.0, 1.0)}

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._key = b""
        self.reset(0)

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        stays = uniform(self._key, observation) >= self.settings["turnover"]
        switched = 0.0 if current_exposure > BAND else 1.0
        return self.opinion(None if stays else switched, current_exposure)

    def reset(self, seed: int) -> None:
        self._key = b"random baseline" + seed.to_bytes(8, "little")


class SmaCrossover(Rule):
    name, about = "sma_crossover", "In the market while the fast average of closes is above the slow one"
    params = {"fast": Bound(50, 2, 400), "slow": Bound(200, 2, 400)}

    def check(self) -> None:
        if self.settings["fast"] >= self.settings["slow"]:
            raise BadInput("fast must be smaller than slow", "fast")

    def features(self) -> tuple[FeatureSpec, ...]:
        return tuple(_column("sma", self.settings[key]) for key in ("fast", "slow"))

    def wish(self, values: np.ndarray, held: float) -> float | None:
        return 1.0 if values[1] > values[0] else 0.0  # distances of the close: the lower average is farther

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return alike(np.where(values[:, 1] > values[:, 0], 1.0, 0.0))


class MeanReversion(Rule):
    name, about = "mean_reversion", "Buys far below the mean of closes, sells once it is back"
    params = {"period": Bound(60, 3, 400), "entry": Bound(2.0, 0.0, 10.0), "exit": Bound(0.0, -10.0, 10.0)}

    def features(self) -> tuple[FeatureSpec, ...]:
        return (_column("zscore", self.settings["period"]),)

    def wish(self, values: np.ndarray, held: float) -> float | None:
        if values[0] <= -self.settings["entry"]:
            return 1.0
        return 0.0 if held > BAND and values[0] >= self.settings["exit"] else None

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, is_low = values[:, 0], values[:, 0] <= -self.settings["entry"]
        leaving = np.where(first >= self.settings["exit"], 0.0, np.nan)
        return np.where(is_low, 1.0, np.nan), np.where(is_low, 1.0, leaving)


class Momentum(Rule):
    name, about = "momentum", "In the market while the return over a period is above a threshold"
    params = {"period": Bound(120, 2, 400), "threshold": Bound(0.0, -0.5, 0.5)}

    def features(self) -> tuple[FeatureSpec, ...]:
        return (_column("log_return", self.settings["period"]),)

    def wish(self, values: np.ndarray, held: float) -> float | None:
        return 1.0 if values[0] > self.settings["threshold"] else 0.0

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return alike(np.where(values[:, 0] > self.settings["threshold"], 1.0, 0.0))


class Conservative(Rule):
    name, about = "conservative", "A small position while the trend is up and the market calmer than usual"
    params = {
        "share": Bound(0.3, 0.01, 1.0),
        "trend": Bound(200, 31, 400),
        "margin": Bound(0.005, 0.0, 0.2),  # how far the close must be from its average
        "calm": Bound(0.0, -3.0, 3.0),
    }

    @property
    def exposure(self) -> float:
        return float(self.settings["share"])

    def features(self) -> tuple[FeatureSpec, ...]:
        calm = FeatureSpec(
            "volatility_ratio", "volatility_ratio", {"fast": 30, "slow": self.settings["trend"]}
        )
        return (_column("sma", self.settings["trend"]), calm)

    def wish(self, values: np.ndarray, held: float) -> float | None:
        if values[0] < -self.settings["margin"]:
            return 0.0
        if held > BAND or values[0] < self.settings["margin"]:
            return None
        return self.exposure if values[1] < self.settings["calm"] else None

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        margin, is_calm = self.settings["margin"], values[:, 1] < self.settings["calm"]
        leaving = np.where(values[:, 0] < -margin, 0.0, np.nan)
        return np.where((values[:, 0] >= margin) & is_calm, self.exposure, leaving), leaving


class BothWays(Rule):
    """A rule that is long or short by the same share of equity."""

    params = {"share": Bound(0.5, 0.01, 1.0)}

    @property
    def exposure(self) -> float:
        return float(self.settings["share"])

    @property
    def lowest(self) -> float:
        return -self.exposure


class MomentumLongShort(BothWays):
    name, about = (
        "momentum_long_short",
        "Long while the return over a period is above a threshold, else short",
    )
    params = {**BothWays.params, **Momentum.params}

    def features(self) -> tuple[FeatureSpec, ...]:
        return (_column("log_return", self.settings["period"]),)

    def wish(self, values: np.ndarray, held: float) -> float | None:
        return self.exposure if values[0] > self.settings["threshold"] else self.lowest

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return alike(np.where(values[:, 0] > self.settings["threshold"], self.exposure, self.lowest))


class RandomLongShort(BothWays):
    """Chance as in `Random`: a replay, or a session after a restart, draws alike."""

    name, about = "random_long_short", "Turns from long to short and back by chance, with a given turnover"
    params = {**BothWays.params, **Random.params}

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._key = b""
        self.reset(0)

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        stays = uniform(self._key, observation) >= self.settings["turnover"]
        turned = self.lowest if current_exposure > BAND else self.exposure
        return self.opinion(None if stays else turned, current_exposure)

    def reset(self, seed: int) -> None:
        self._key = b"random baseline" + seed.to_bytes(8, "little")


def alike(wishes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return wishes that do not ask what is held."""
    return wishes, wishes


def _column(kind: str, period: Number) -> FeatureSpec:
    return FeatureSpec(f"{kind}_{period}", kind, {"period": period})


BASELINES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        Cash,
        BuyAndHold,
        TargetWeight,
        Random,
        SmaCrossover,
        MeanReversion,
        Momentum,
        Conservative,
        MomentumLongShort,
        RandomLongShort,
    )
}


def baseline(name: str, **params: Any) -> Rule:
    """Return the fixed rule called `name`.

    :raises BadInput: for an unknown name or parameter, or a value out of bounds
    """
    if name not in BASELINES:
        raise BadInput(f"there is no baseline {name!r}; choose one of {', '.join(BASELINES)}", "baseline")
    return BASELINES[name](**params)
