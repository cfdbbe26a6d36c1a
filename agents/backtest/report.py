"""From a simulation to what people read: metrics, benchmark, a drawable curve, trades, assumptions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from agents.backtest.basket import BasketSimulation, held_alone
from agents.backtest.settings import BacktestSettings
from agents.backtest.simulate import Simulation, fill_arrays, fill_rows
from agents.envs.settings import WATCHED, EnvSettings
from agents.spaces import ActionSpec
from market.kernel import metrics
from market.kernel.breakers import REASONS
from market.kernel.costs import fee_of
from market.kernel.rebalance import order_quantity
from market.kernel.step import fill_price, open_book
from market.kernel.triggers import LIQUIDATION
from market.plans import SWITCHES

POINTS = 2000  # of a stored curve
TRADES = 20_000  # rows kept; the metrics count all
LIMITS = ("max_drawdown", *WATCHED)


@dataclass(frozen=True, slots=True)
class Report:
    metrics: dict[str, Any]
    assumptions: list[str]
    curve: dict[str, list[float]]
    trades: list[dict[str, Any]]


def report(run: Simulation, settings: BacktestSettings, seen: Sequence[str] = ()) -> Report:
    """Return everything a backtest row shows.

    :param seen: sentences to begin the assumptions with, on what of the data was seen before
    """
    benchmark = benchmark_of(run, settings)
    held = metrics.summary(benchmark, run.open_ms, run.interval_ms)
    figures = metrics.summary(run.equity, run.open_ms, run.interval_ms, fill_arrays(run), run.exposure)
    figures |= {
        "decisions": run.decisions,
        "gated": run.gated,
        "final_equity": float(run.equity[-1]),
        "benchmark_return": held["total_return"],
        "benchmark_sharpe": held["sharpe"],
        "benchmark_max_drawdown": held["max_drawdown"],
    }
    if settings.trading.market == "futures":
        figures |= {
            "funding": run.funding,
            "liquidations": sum(f.reason == LIQUIDATION for _, f in run.fills),
        }
    figures |= of_specialists(run)
    trades = fill_rows(run)
    if isinstance(run, BasketSimulation):
        seen = [*seen, *_of_portfolio(run, settings)]
    notes = [*seen, *assumptions(settings), *_halt(run)]
    notes += [f"Decisions {reason}: {count}." for reason, count in run.sized.items()]
    notes += [f"Orders that a cap cut ({REASONS[code]}): {count}." for code, count in run.cut.items()]
    if len(trades) > TRADES:
        notes.append(f"{len(trades)} fills happened; the last {TRADES} are kept, the metrics count all.")
    return Report(figures, notes, curve(run, benchmark), trades[-TRADES:])


def of_specialists(run: Simulation) -> dict[str, float]:
    """Return what each specialist of a team contributed, over the equity at first, and its weight."""
    earned = run.contributions.items()
    shares = {f"contribution_{name}": value / run.equity[0] for name, value in earned}
    weights = {f"weight_{name}": weight for name, weight in run.weights.items()}
    return {name: float(value) for name, value in {**shares, **weights}.items()}


def benchmark_of(run: Simulation, settings: BacktestSettings) -> np.ndarray:
    """Return the equity of what a run is compared with, (n,): buy and hold, of a portfolio equal weights."""
    return run.benchmark if isinstance(run, BasketSimulation) else buy_and_hold(run.close, settings)


def buy_and_hold(close: np.ndarray, settings: BacktestSettings) -> np.ndarray:
    """Return the equity of buying with everything at the first close, costs paid, and holding: (n,)."""
    env = settings.env_settings()
    rules, cash = env.rules(), open_book(float(env.initial_cash)).cash
    price = fill_price(float(close[0]), 1, rules)
    quantity = order_quantity(
        1.0, cash, 0.0, price, rules.step, rules.min_notional, rules.fee_rate, rules.guard
    )
    fee = fee_of(quantity * price, rules.fee_rate, rules.fee_step, rules.guard)
    worth = cash - quantity * price - fee + quantity * close
    worth[0] = cash
    return worth


def curve(run: Simulation, benchmark: np.ndarray) -> dict[str, list[float]]:
    """Return at most `POINTS` points, keeping each stretch's lowest and highest equity and both ends."""
    at = shown_rows(run.equity)
    drawdown = metrics.drawdowns(run.equity)
    return {
        "t_ms": (run.open_ms[at] + run.interval_ms).tolist(),
        "equity": np.round(run.equity[at], 6).tolist(),
        "benchmark": np.round(benchmark[at], 6).tolist(),
        "drawdown": np.round(drawdown[at], 8).tolist(),
        "exposure": np.round(run.exposure[at], 6).tolist(),
        **({"weights": _weights(run, at)} if isinstance(run, BasketSimulation) else {}),
    }


def _weights(run: BasketSimulation, at: np.ndarray) -> dict[str, list[float]]:
    columns = np.round(run.held[at], 6).T.tolist()
    return dict(zip(run.pairs, columns, strict=True))


def _of_portfolio(run: BasketSimulation, settings: BacktestSettings) -> list[str]:
    """Return, as sentences, what the portfolio is compared with and how its pairs are traded together."""
    env = EnvSettings(
        **settings.trading.model_dump(), action=ActionSpec("weights", (0.0, 1.0), pairs=run.pairs)
    )
    alone = ", ".join(f"{pair} {change:+.2%}" for pair, change in held_alone(run, env).items())
    return [
        f"One account over {', '.join(run.pairs)}: only bars that all of them have are traded and marked; "
        "sells fill before buys, so that their proceeds pay for them.",
        *_of_rules(settings, env),
        "The benchmark is equal weights, brought back at every decision under the same costs and band, "
        "without exits or limits. "
        f"Cash would have earned nothing; buying one pair alone and holding it: {alone}.",
    ]


def _of_rules(settings: BacktestSettings, env: EnvSettings) -> list[str]:
    """Return, as sentences, which pairs a portfolio's exits and limits act on."""
    said = []
    if env.has_exits:
        said.append(
            "Exits are each pair's own and sell all of it; the next decision may buy it back. Levels that "
            "several pairs reach in one bar all fill, whichever came first."
        )
    if any(getattr(settings.limits, name) for name in LIMITS):
        said.append(
            "Loss limits and safe mode by drawdown act on the equity of the whole account, and one that "
            "halts sells every pair at the next open. Losing streaks, cool-downs, the day's trades and the "
            "largest position are each pair's own; an order's largest share is one of the account's equity."
        )
    return said


def assumptions(settings: BacktestSettings) -> list[str]:
    """Return, as sentences, how fills were modelled."""
    trading = settings.trading
    worse = trading.half_spread + trading.slippage
    said = [
        "Decisions are taken at a bar's close and filled whole at the next bar's open, as market orders (a "
        "session's limit and split styles are not modelled: nothing is assumed to fill as a cheaper maker); "
        "the order's own effect on the market is limited to the stated slippage.",
        f"A fill is {worse:.4%} worse than the open (half spread {trading.half_spread:.4%}, slippage "
        f"{trading.slippage:.4%}) and costs a fee of {trading.fee_rate:.4%}.",
    ]
    exits = {"stop-loss": trading.stop_loss, "take-profit": trading.take_profit, "trailing": trading.trailing}
    rules = [f"{name} {getattr(trading, name):g}" for name in SWITCHES if getattr(trading, name)]
    named = ", ".join(f"{name} {value:.2%}" for name, value in exits.items() if value)
    if named:
        said.append(
            f"Exits act inside a bar ({named}): a gap fills at the open, and a bar that touches both levels "
            "counts as stopped."
        )
    if rules:
        said.append(
            f"Rules on sizing and exits: {', '.join(rules)}. Levels are set at a bar's beginning from closed "
            f"bars (average true range over {trading.atr_bars}) and only tighten."
        )
    values = {name: getattr(settings.limits, name) for name in LIMITS}
    limits = ", ".join(f"{name} {value:.12g}" for name, value in values.items() if value)
    if limits:
        said.append(f"Breakers, guards and caps, those of a session: {limits}.")
    said.append(
        "The price collar, the cap on the spread and the age of a price act on a session's quotes only: an "
        "entry whose open has moved far from the close it was decided on is filled here."
    )
    if trading.market == "futures":
        said.append(
            f"A futures market with leverage up to {trading.leverage:g} on isolated margin: liquidated when "
            f"{trading.maintenance:.2%} of the notional is left, losing no more than the margin; longs pay "
            f"{trading.funding_rate:.4%} of it to shorts every {trading.funding_hours:g} hours, a constant "
            "rate that real markets do not have, and nothing for hours without candles. The candles stand "
            "for last and mark price alike."
        )
    if settings.decision.get("sample"):
        said.append(
            f"Actions are drawn by their probabilities with seed {settings.decision['seed']}; another seed "
            "gives another result."
        )
    return [*said, "One path of history: nothing here says how much of the result is luck."]


def _halt(run: Simulation) -> list[str]:
    careful = [f"Safe mode was entered {run.safe_modes} times."] if run.safe_modes else []
    if run.halted_ms is None:
        return careful
    when = np.datetime64(run.halted_ms, "ms").item()
    return [*careful, f"Trading ended at {when:%Y-%m-%d %H:%M} UTC: {REASONS[run.halted_by]}."]


def shown_rows(equity: np.ndarray) -> np.ndarray:
    """Return the rows of a curve that are drawn, at most `POINTS`: lows, highs and both ends."""
    count = len(equity)
    if count <= POINTS:
        return np.arange(count)
    edges = np.linspace(0, count, POINTS // 2, dtype=int)
    kept = {0, count - 1}
    for first, last in pairwise(edges.tolist()):
        kept |= {first + int(np.argmin(equity[first:last])), first + int(np.argmax(equity[first:last]))}
    return np.array(sorted(kept))
