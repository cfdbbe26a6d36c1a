"""What each member is worth to its council, and how far they disagree: over one simulated stretch. Pure."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agents.backtest.report import shown_rows
from agents.backtest.settings import BacktestSettings
from agents.backtest.simulate import Simulation, fill_arrays, simulate
from agents.decide import Decided, Decider
from agents.policies.council import SIDES, Council
from market.candles import Candles
from market.kernel import metrics

LEFT_OUT = -1  # in a matrix of votes: the member could not vote
FIGURES = ("total_return", "sharpe", "max_drawdown", "fills")
STRETCHES = 200  # points of the curve of disagreement


class Watch:
    """Notes the votes behind every decision of a simulation."""

    def __init__(self) -> None:
        self.at: list[int] = []
        self.votes: list[list[int]] = []
        self.sides: list[int] = []

    def __call__(self, row: int, decided: Decided) -> None:
        tally = decided.opinion.tally
        assert tally is not None, "a council always tallies"  # noqa: S101  programming error
        self.at.append(row)
        self.votes.append([LEFT_OUT if vote.side is None else vote.side for vote in tally.votes])
        self.sides.append(int(decided.opinion.action))


def review(
    candles: Candles,
    rows: np.ndarray,
    council: Council,
    settings: BacktestSettings,
    *,
    first: int,
    tick: Callable[[float], None] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (result, curve): figures of the whole, of each member's absence, and of their disagreement.

    The council is simulated once as it is and once without each member that has a weight; everything else,
    the rhythm and the candles included, stays the same, so that the difference is the member's.

    :param rows: raw features of every candle, float64 (n, F), from the council's feature set
    :param first: row of the first decision
    """
    voters = [member for member in council.members if member.weight > 0]
    rounds = len(voters) + 1
    watch = Watch()

    def run(policy: Council, at: int, seen: Watch | None = None) -> Simulation:
        def share(done: float) -> None:
            if tick is not None:
                tick((at + done) / rounds)

        decider = Decider(policy, settings.decision_settings())
        rules = settings.env_settings()
        return simulate(
            candles, rows, decider, rules, first=first, limits=settings.limits, watch=seen, tick=share
        )

    whole = run(council, 0, watch)
    missing = {
        member.name: run(council.without(member.name), at) for at, member in enumerate(voters, start=1)
    }
    votes = np.array(watch.votes, dtype=np.int8).reshape(len(watch.votes), -1)
    result = {
        "whole": _figures(whole),
        "members": _members(council, _figures(whole), missing, votes, np.array(watch.sides)),
        "disagreement": disagreement(votes, [name for name, _ in council.voices]),
    }
    return result, _curve(whole, missing, watch.at, votes, candles)


def _figures(run: Simulation) -> dict[str, Any]:
    summary = metrics.summary(run.equity, run.open_ms, run.interval_ms, fill_arrays(run), run.exposure)
    return {name: summary[name] for name in FIGURES}


def _members(
    council: Council,
    whole: dict[str, Any],
    missing: dict[str, Simulation],
    votes: np.ndarray,
    sides: np.ndarray,
) -> list[dict[str, Any]]:
    rows = []
    for at, (name, weight) in enumerate(council.voices):
        own = votes[:, at] if len(votes) else np.empty(0)
        cast = own != LEFT_OUT
        without = _figures(missing[name]) if name in missing else None
        rows.append(
            {
                "name": name,
                "weight": weight,
                "votes": {side: int(np.sum(own == index)) for index, side in enumerate(SIDES)},
                "left_out": int(np.sum(~cast)),
                "followed": _share(own[cast] == sides[cast]) if cast.any() else None,
                "without": without,
                "adds_return": _difference(whole, without, "total_return"),
                "adds_sharpe": _difference(whole, without, "sharpe"),
            }
        )
    return rows


def _difference(whole: dict[str, Any], without: dict[str, Any] | None, name: str) -> float | None:
    """Return how much better the figure is with the member; None where either is not known."""
    if without is None or whole[name] is None or without[name] is None:
        return None
    return float(whole[name] - without[name])


def disagreement(votes: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return how far members differ; weights do not count here.

    - `split`: share of decisions at which those that voted did not all vote alike
    - `entropy`: mean entropy of the votes in bits, 0 (all alike) to log2 3 (evenly spread over three sides)
    - `agreement`: per pair of members the share of decisions at which both voted and voted alike; None: never

    :param votes: int8 (decisions, members), a side or `LEFT_OUT`
    """
    entropies = entropy(votes)
    return {
        "decisions": len(votes),
        "split": _share(entropies > 0) if len(votes) else None,
        "entropy": float(np.mean(entropies)) if len(votes) else None,
        "names": list(names),
        "agreement": [
            [_agreement(votes, one, other) for other in range(len(names))] for one in range(len(names))
        ],
    }


def entropy(votes: np.ndarray) -> np.ndarray:
    """Return the entropy of each decision's votes in bits, float64 (decisions,); nobody voting is 0."""
    counts = np.stack([np.sum(votes == side, axis=1) for side in range(len(SIDES))], axis=1)  # (T, 3)
    whole = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / whole
    bits = np.zeros_like(shares)
    np.log2(shares, out=bits, where=shares > 0)
    return np.maximum(-np.sum(shares * bits, axis=1), 0.0)


def _agreement(votes: np.ndarray, one: int, other: int) -> float | None:
    if not len(votes):
        return None
    both = (votes[:, one] != LEFT_OUT) & (votes[:, other] != LEFT_OUT)
    return _share(votes[both, one] == votes[both, other]) if both.any() else None


def _share(truths: np.ndarray) -> float:
    return float(np.mean(truths))


def _curve(
    whole: Simulation, missing: dict[str, Simulation], at: list[int], votes: np.ndarray, candles: Candles
) -> dict[str, Any]:
    """Return drawable curves: equities on shared times, and entropy as means over stretches of decisions."""
    kept = shown_rows(whole.equity)
    stretch = max(1, math.ceil(len(at) / STRETCHES))
    bits = entropy(votes) if len(votes) else np.empty(0)
    starts = range(0, len(at), stretch)
    return {
        "t_ms": (whole.open_ms[kept] + whole.interval_ms).tolist(),
        "whole": np.round(whole.equity[kept], 6).tolist(),
        "without": {name: np.round(run.equity[kept], 6).tolist() for name, run in missing.items()},
        "entropy_t_ms": [int(candles.open_ms[at[start]]) + candles.interval_ms for start in starts],
        "entropy": [round(float(np.mean(bits[start : start + stretch])), 6) for start in starts],
    }
