"""Rows about learning: training runs, the models they made, councils of them, backtests."""

from agents.models.backtest import Backtest
from agents.models.council import Council, CouncilMember, CouncilReview
from agents.models.experiment import Experiment
from agents.models.model import ModelStatus, TrainedModel
from agents.models.opening import TestOpening
from agents.models.run import JobStatus, ResourceSample, TrainingMetric, TrainingRun, TrainingValidation

__all__ = [
    "Backtest",
    "Council",
    "CouncilMember",
    "CouncilReview",
    "Experiment",
    "JobStatus",
    "ModelStatus",
    "ResourceSample",
    "TestOpening",
    "TrainedModel",
    "TrainingMetric",
    "TrainingRun",
    "TrainingValidation",
]
