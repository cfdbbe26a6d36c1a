"""What may be done about learning: train, cancel, resume, backtest, promote."""

from agents.services.backtests import backtest_now, run_backtest, start_backtest
from agents.services.models import archive_model, promote
from agents.services.queue import requeue_lost_runs
from agents.services.training import cancel_training, resume_training, start_training

__all__ = [
    "archive_model",
    "backtest_now",
    "cancel_training",
    "promote",
    "requeue_lost_runs",
    "resume_training",
    "run_backtest",
    "start_backtest",
    "start_training",
]
