"""What the study of presets compares on real candles, per interval: the preset, and one change at a time.

A preset that the study has changed keeps its former self among the candidates, so that it can be repeated.
"""

from dataclasses import dataclass
from typing import Any

PENALTY = {"reward": {"terms": {"log_return": 1.0, "turnover": 0.0015}}}  # as if trading cost twice as much


@dataclass(frozen=True, slots=True)
class Study:
    preset: str
    files: tuple[str, ...]  # in ../shared/data
    windows: int
    steps: int  # decisions of a run
    changes: dict[str, dict[str, Any]]  # candidate -> settings over the preset
    before: str = "preset"  # the candidate that was shipped when the study was made


def _day_of_5m() -> dict[str, Any]:
    """Return the features of `swing` over the same hours in bars of five minutes: half an hour to a day."""
    from market.features import FeatureSet, FeatureSpec

    averages = [FeatureSpec(f"sma_{n}", "sma", {"period": n}) for n in (6, 24, 48, 96, 192, 288)]
    returns = [FeatureSpec(f"log_return_{n}", "log_return", {"period": n}) for n in (12, 48, 144, 288)]
    clock = [FeatureSpec(name, name) for name in ("day_sin", "day_cos")]
    return {"features": FeatureSet((*averages, *returns, *clock)).to_json()}


def study_of(interval: str) -> Study:
    """Return what is compared for bars of `1m`, `5m` or `1h`. :raises KeyError: for another one"""
    return {"1m": _minutes, "5m": _fives, "1h": _hours}[interval]()


def _minutes() -> Study:
    """Return the changes to a preset that planted markets have changed since."""
    ppo: dict[str, Any] = {"gamma": 0.995, "gae_lambda": 0.95}
    old = {"reward": {"terms": {}}, "curriculum": {"costs_from": 1.0}, "ppo": ppo}
    changes = {
        "preset": {},
        "before": old,
        "every-60": {**old, "decision_every": 60, "ppo": {**ppo, "gamma": 0.98}},
        "core": {**old, "features": "core"},
        "entropy": {**old, "ppo": {**ppo, "ent_coef": 0.01}},
        "turnover": {**old, **PENALTY},
        "small": {**old, "network": {"net_arch": [16, 16]}},
    }
    files = ("bitfinex-BTCUSD-1m-20170101-20181231", "bitfinex-ETHUSD-1m-20170101-20181231")
    return Study("default-1m", files, 2, 1_000_000, changes, before="before")


def _fives() -> Study:
    changes = {
        "preset": {},
        "every-1": {"decision_every": 1, "ppo": {"gamma": 0.998}},
        "every-12": {"decision_every": 12, "ppo": {"gamma": 0.98}},
        "core": {"features": "core"},
        "day": _day_of_5m(),
        "entropy": {"ppo": {"ent_coef": 0.01}},
        "turnover": PENALTY,
        "small": {"network": {"net_arch": [16, 16]}},
        "best-no-mean": {"averaging": 0.0, "keep": "best"},
    }
    files = ("binance-BTCUSDT-5m-20240301-20250131", "binance-ETHUSDT-5m-20240101-20240630")
    return Study("default-5m", files, 3, 400_000, changes)


def _hours() -> Study:
    """Return the changes to a preset whose gamma was 0.98; the longer horizon won and is shipped since."""
    old = {"ppo": {"gamma": 0.98}}
    changes = {
        "preset": {},
        "before": old,
        "mean-last": {**old, "averaging": 0.98, "keep": "last"},
        "every-4": {"decision_every": 4, "ppo": {"gamma": 0.95}},
        "every-24": {"decision_every": 24, "ppo": {"gamma": 0.9}},
        "price": {**old, "features": "price"},
        "entropy": {"ppo": {**old["ppo"], "ent_coef": 0.01}},
        "turnover": {**old, **PENALTY},
        "small": {**old, "network": {"net_arch": [16, 16]}},
        "short": {**old, "steps": 75_000},
    }
    files = ("binance-BTCUSDT-1h-20200101-20250131", "binance-ETHUSDT-1h-20200101-20250131")
    return Study("default-1h", files, 3, 300_000, changes, before="before")
