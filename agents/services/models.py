"""Trained models: which one a person chose for live trading."""

from typing import Any

from django.db import transaction

from agents.artefacts import verify
from agents.models import ModelStatus, TrainedModel
from market.web.audit import record


def promote(model: TrainedModel, by: Any = None) -> TrainedModel:
    """Mark a model as chosen for live trading.

    :raises BadInput: when its files are missing or have changed
    """
    verify(model)
    return _moved(model, ModelStatus.PROMOTED, "model.promote", by)


def archive_model(model: TrainedModel, by: Any = None) -> TrainedModel:
    """Take a model out of the lists people choose from; sessions that use it go on."""
    return _moved(model, ModelStatus.ARCHIVED, "model.archive", by)


@transaction.atomic
def _moved(model: TrainedModel, status: ModelStatus, act: str, by: Any) -> TrainedModel:
    model.status = status
    model.save(update_fields=["status"])
    record(by or model.owner, act, model, name=model.name)
    return model
