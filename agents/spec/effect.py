"""What a spec asks for and could never get: refused before a run begins, each in one sentence.

Stored runs from before may hold such settings; they are read as they are (`TrainingSpec.stored`).
"""

from typing import TYPE_CHECKING

from agents.spec.algorithms import Network, Replay
from market.errors import BadInput
from market.kernel.plan import open_track
from market.kernel.sizing import sized_target
from market.kernel.step import open_book

if TYPE_CHECKING:
    from agents.spec.training import TrainingSpec

PPO = ("ppo", "fast_ppo", "maskable_ppo", "recurrent_ppo", "team_ppo")
REPORTED: dict[str, tuple[str, tuple[str, ...]]] = {  # breaker -> what it watches, and who reports that
    "stopping.max_kl": ("how far an update moved the policy (KL)", (*PPO, "trpo")),
    "stopping.min_entropy": ("the entropy of its policy", (*PPO, "a2c", "reinforce")),
}
BATCHED = ("maskable_ppo", "recurrent_ppo", "team_ppo")  # ppo and fast_ppo leave a batch of one as it is
TABLES = ("q_table",)  # no network, and the newest bar alone
FORECAST = "forecast"  # what a table calls the forecast's column


def is_idle(name: str, algorithm: str) -> bool:
    """Say whether an algorithm never reads a setting that is of no algorithm's own section."""
    if name in REPORTED:
        return algorithm not in REPORTED[name][1]
    return algorithm in TABLES and (name == "window" or name.startswith("network."))


def require_effect(spec: "TrainingSpec") -> None:
    """:raises BadInput: for a setting that can never act, and for a run that would never learn"""
    for name, (what, reporting) in REPORTED.items():
        if getattr(spec.stopping, name.rpartition(".")[2]) and is_idle(name, spec.algorithm):
            raise BadInput(
                f"{name}: {spec.algorithm} does not report {what}: leave it at 0, or choose one of "
                f"{', '.join(reporting)}",
                name,
            )
    if spec.algorithm in TABLES:
        _require_table(spec)
    _require_batches(spec)
    _require_trades(spec)
    own = spec.learning
    if isinstance(own, Replay) and own.learning_starts >= spec.steps:
        raise BadInput(
            f"{spec.algorithm} would learn nothing: it begins after {own.learning_starts:,} decisions "
            f"(learning_starts) and the run ends after {spec.steps:,} (steps): raise steps or lower "
            "learning_starts",
            "steps",
        )


def largest_order(spec: "TrainingSpec") -> float:
    """Return what the first order of an episode can be worth at most, quote currency.

    Sized by the kernel's own rules, whatever the market's range turns out to be.
    """
    settings, cash = spec.env_settings(), float(spec.trading.initial_cash)
    rules, plan = settings.rules(), settings.plan()
    if (
        plan.stop_atr or plan.trailing_atr
    ):  # the nearer the stop, the larger the order: it may be at the price
        plan = plan._replace(risk_per_trade=0.0)
    levels, book, track = settings.allowed_action.levels, open_book(cash), open_track(0.0)
    wishes = (float(levels[0]), float(levels[-1]))
    sized = [sized_target(wish, book, track, 1.0, 0.0, 1.0, rules, plan)[0] for wish in wishes]
    most = cash * max(abs(target) for target in sized)
    if spec.limits.max_order_share:
        most = min(most, cash * spec.limits.max_order_share)
    return min(most, spec.limits.max_position) if spec.limits.max_position else most


def _require_trades(spec: "TrainingSpec") -> None:
    """:raises BadInput: for a run in which nothing could ever be bought"""
    most, least = largest_order(spec), spec.trading.min_notional
    if most <= least:
        raise BadInput(
            f"no order could ever be placed: the largest is worth {most:g} (trading.initial_cash times the "
            f"exposure, sized and within limits) and trading.min_notional wants more than {least:g}",
            "trading.min_notional",
        )


def _require_batches(spec: "TrainingSpec") -> None:
    """:raises BadInput: for a rollout that ends in a minibatch of one, whose advantage has no deviation"""
    if spec.algorithm not in BATCHED or spec.ppo.advantages != "normalised":
        return
    rollout, size = spec.ppo.rollout, spec.ppo.batch_size
    if rollout % size == 1:
        raise BadInput(
            f"{spec.algorithm} cannot normalise the advantage of one decision alone, which {rollout:,} "
            f"decisions (n_envs * n_steps) leave over from batches of {size:,}: choose another "
            "ppo.batch_size",
            "ppo.batch_size",
        )


def _require_table(spec: "TrainingSpec") -> None:
    if spec.network != Network():
        raise BadInput(f"{spec.algorithm} has no network: leave the network settings out", "network")
    if spec.window != 1:
        raise BadInput(
            f"{spec.algorithm} reads the newest bar alone: leave window at 1, and name features that look "
            "back as q_table.columns",
            "window",
        )
    if spec.forecast.kind != "none" and FORECAST not in spec.q_table.columns:
        raise BadInput(
            f"{spec.algorithm} reads the forecast only as one of its columns: add {FORECAST} to "
            "q_table.columns, or leave forecast.kind at none",
            "q_table.columns",
        )
