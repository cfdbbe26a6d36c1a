"""Rows about learning: training runs, the models they made, councils of them, backtests."""

from agents.models.backtest import Backtest
from agents.models.council import Council, CouncilMember, CouncilReview
from agents.models.model import ModelStatus, TrainedModel
from agents.models.opening import TestOpening
from agents.models.run import JobStatus, TrainingMetric, TrainingRun

__all__ = [
    "Backtest",
    "Council",
    "CouncilMember",
    "CouncilReview",
    "JobStatus",
    "ModelStatus",
    "TestOpening",
    "TrainedModel",
    "TrainingMetric",
    "TrainingRun",
]
