"""Opening the sealed test part of a model."""

from typing import Any

from django.db import transaction

from agents.models import TestOpening, TrainedModel
from agents.services.backtests import start_backtest
from market.errors import BadInput
from market.web.audit import record

MOST_REASON = 500


@transaction.atomic
def open_test(
    *, model: TrainedModel, by: Any, reason: str, settings: dict[str, Any] | None = None
) -> TestOpening:
    """Write down who opens a model's test part and why, and have a worker backtest the model on it.

    :raises BadInput: for a model without a test part, or no reason; nothing is opened then
    """
    reason = " ".join(reason.split())
    if not reason:
        raise BadInput("say why the test part is opened: each look makes it prove less", "reason")
    if len(reason) > MOST_REASON:
        raise BadInput(f"the reason must have at most {MOST_REASON} characters", "reason")
    if model.test_from_ms is None:
        raise BadInput(
            f"model {model.name} was trained without a test part: train with test_share above 0", "model"
        )
    opening = TestOpening.objects.create(owner=model.owner, model=model, opened_by=by, reason=reason)
    opening.backtest = start_backtest(
        owner=model.owner, model=model, series=model.series, from_ms=model.test_from_ms,
        to_ms=model.test_to_ms, settings=settings, by=by,
    )  # fmt: skip
    opening.save(update_fields=["backtest"])
    record(by, "model.open_test", model, name=model.name, reason=reason, backtest=opening.backtest.pk)
    return opening
