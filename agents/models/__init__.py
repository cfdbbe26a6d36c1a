"""Rows about learning: training runs, the models they made, backtests of them."""

from agents.models.backtest import Backtest
from agents.models.model import ModelStatus, TrainedModel
from agents.models.run import JobStatus, TrainingMetric, TrainingRun

__all__ = ["Backtest", "JobStatus", "ModelStatus", "TrainedModel", "TrainingMetric", "TrainingRun"]
