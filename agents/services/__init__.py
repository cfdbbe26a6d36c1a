"""What may be done about learning: train, cancel, resume, open the test part, backtest, promote."""

from agents.services.backtests import backtest_now, run_backtest, start_backtest
from agents.services.cards import card_of, read_card, reproduce
from agents.services.computing import cancel_computation
from agents.services.councils import Seat, archive_council, create_council
from agents.services.experiments import cancel_experiment, seed_list, start_experiment
from agents.services.lineage import note_session
from agents.services.models import archive_model, promote
from agents.services.openings import open_test
from agents.services.queue import requeue_lost_runs, run_to_train
from agents.services.reviews import review_now, run_review, start_review
from agents.services.sealed import openings
from agents.services.training import cancel_training, resume_training, start_training

__all__ = [
    "Seat",
    "archive_council",
    "archive_model",
    "backtest_now",
    "cancel_computation",
    "cancel_experiment",
    "cancel_training",
    "card_of",
    "create_council",
    "note_session",
    "open_test",
    "openings",
    "promote",
    "read_card",
    "reproduce",
    "requeue_lost_runs",
    "resume_training",
    "review_now",
    "run_backtest",
    "run_review",
    "run_to_train",
    "seed_list",
    "start_backtest",
    "start_experiment",
    "start_review",
    "start_training",
]
