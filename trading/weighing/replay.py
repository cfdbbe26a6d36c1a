"""Does the recorded market lead to the recorded weights? A plan's decisions, made again from stored bars."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from agents.observation import observation_hash, observe_basket
from market.features import compute
from trading.bars import stored_bars
from trading.models import PlanDecision, PortfolioPlan
from trading.numbers import is_same_answer
from trading.weighing.mind import Mind, joined, mind_of


def made_of(plan: PortfolioPlan) -> list[PlanDecision]:
    """Return the decisions that a replay can repeat: those that were made."""
    rows = plan.decisions.filter(is_made=True)
    return sorted(rows, key=lambda row: (tuple(row.warm_from_ms), row.bar_ms))


def differences(plan: PortfolioPlan, decisions: Sequence[PlanDecision]) -> Iterator[tuple[int, str]]:
    """Yield (bar, what differs first) of every decision that comes out otherwise than it did.

    :param decisions: as of `made_of`
    :raises BadInput: when the plan's model cannot be loaded any more.
    """
    assert plan.model is not None  # noqa: S101  for the type checker: a model's plan
    if not decisions:
        return
    pairs = decisions[0].pairs
    mind = mind_of(plan.model, account=plan.account, pairs=pairs, source=None)
    for _, group in groupby(decisions, key=lambda row: tuple(row.warm_from_ms)):
        rows = list(group)
        times, features = [], []
        for feed, from_ms in zip(mind.feeds, rows[0].warm_from_ms, strict=True):
            bars = stored_bars(feed.market, feed.pair, plan.interval_ms, from_ms, rows[-1].bar_ms)
            times.append(bars.open_ms)
            features.append(compute(bars, mind.policy.observation.feature_set))
        for row in rows:
            window = joined(times, features, row.bar_ms, mind.window)
            if what := "its bars are not on record" if window is None else _difference(row, mind, window):
                yield row.bar_ms, what


def _difference(row: PlanDecision, mind: Mind, window: np.ndarray) -> str:
    if row.model_hash != mind.policy.policy_hash:
        return "the model is another one than the one that decided"
    observation = observe_basket(mind.policy.observation.scaler.transform(window), row.account)
    if row.observation_hash != observation_hash(observation):
        return f"the observation, first in {_first_wrong(row, mind, window[-1].tolist())}"
    again = mind.weigh(observation, row.top)
    if not is_same_answer([*again.weights, again.value], [*row.weights, row.value]):
        return f"the weights: {row.weights} live, {list(again.weights)} replayed"
    return ""


def _first_wrong(row: PlanDecision, mind: Mind, again: list[float]) -> str:
    names = mind.policy.observation.feature_set.names
    for place, (live, now) in enumerate(zip(row.features, again, strict=True)):
        if live != now:
            pair, name = row.pairs[place // len(names)], names[place % len(names)]
            return f"{name} of {pair} ({live!r} live, {now!r} replayed)"
    return "an older bar of its window"
