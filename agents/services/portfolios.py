"""Backtests of a portfolio's model: on all of its pairs at once."""

from collections.abc import Callable

import numpy as np

from agents.artefacts import load_weights
from agents.backtest import BacktestSettings
from agents.backtest.basket import BasketSimulation, Stretch, simulate_basket
from agents.decide import DecisionSettings
from agents.envs.settings import EnvSettings
from agents.evaluation.data import basket_rows, members_of, require_visible, require_volume
from agents.models import Backtest, TrainedModel
from agents.policies.weights import NetworkWeights
from agents.services.stretches import Plan, with_warmup
from market import archive
from market.archive.identity import join
from market.basket import aligned, taken
from market.errors import BadInput
from market.models import Series


def own_series(model: TrainedModel, series: Series) -> Series:
    """Return the series that stands for a model's backtest: of a portfolio the first pair's.

    :raises BadInput: for candles that are none of the portfolio's
    """
    if not model.is_portfolio:
        return series
    if series.pk not in model.spec["basket"]:
        raise BadInput(
            f"{model.name} weighs {', '.join(model.pairs)} together: choose {model.series}, the other pairs' "
            "candles come along",
            "series",
        )
    return model.series


def planned_portfolio(backtest: Backtest, model: TrainedModel, settings: BacktestSettings) -> Plan:
    """Return how a portfolio's backtest would run.

    :raises BadInput: when the stretch and the settings do not fit
    """
    _require_ungated(settings)
    require_visible(backtest.owner, model.spec["basket"])
    names, members = model.pairs, members_of(model.spec["basket"])
    policy = load_weights(model)
    policy.action_spec = policy.action_spec.capped(settings.trading.max_exposure)
    env_of(settings, policy)
    needs = policy.observation
    own = tuple(with_warmup(one, backtest.from_ms, backtest.to_ms, needs.history_bars) for one in members)
    for one, candles in zip(members, own, strict=True):
        require_volume(candles, needs.feature_set, one)
    shared = taken(own[0], aligned(own, names)[0])
    first = max(int(np.searchsorted(shared.open_ms, backtest.from_ms)), needs.first_row)
    if first > len(shared) - 2:
        raise BadInput(
            f"{len(shared)} bars that all pairs have are too few: {needs.first_row + 1} warm the features "
            "up, and two more are needed to decide and trade on",
            "from_ms",
        )
    return Plan(policy, settings, shared, first, tuple(zip(members, own, strict=True)))


def env_of(settings: BacktestSettings, policy: NetworkWeights) -> EnvSettings:
    """Return the rules of a portfolio's market. :raises BadInput: for one that only a single pair knows"""
    return EnvSettings(**settings.trading.model_dump(), action=policy.action_spec)


def simulate_portfolio(plan: Plan, tick: Callable[[float], None]) -> tuple[BasketSimulation, str]:
    """Return what the policy does, and the fingerprint of the candles that it did it on."""
    policy = plan.policy
    assert isinstance(policy, NetworkWeights)  # noqa: S101  for the type checker: it was planned so
    members, own = zip(*plan.own, strict=True)
    candles, rows = basket_rows(members, own, policy.action_spec.pairs, policy.observation.feature_set)
    stretch = Stretch(candles, rows, plan.first)
    run = simulate_basket(
        stretch, policy, env_of(plan.settings, policy), limits=plan.settings.limits, tick=tick
    )
    return run, join(archive.fingerprint(one[plan.first :]) for one in candles)


def _require_ungated(settings: BacktestSettings) -> None:
    """:raises BadInput: for a gate, which reads the probabilities of an action"""
    usual = DecisionSettings().to_dict()
    changed = [name for name, value in usual.items() if settings.decision[name] != value]
    if changed:
        raise BadInput(
            f"{changed[0]} is about the probabilities of one pair's actions, and a portfolio's model gives "
            "weights: leave it out",
            changed[0],
        )
