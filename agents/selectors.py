"""What pages and commands show about learning, in few queries."""

from typing import Any

from django.db.models import QuerySet

from agents.models import Backtest, Council, ModelStatus, TrainedModel, TrainingRun
from market.errors import BadInput


def models(user: Any) -> QuerySet[TrainedModel]:
    """Return the models a user may choose from, newest first."""
    rows = TrainedModel.objects.visible_to(user).exclude(status=ModelStatus.ARCHIVED)
    return rows.select_related("series", "run")


def portfolio_models(user: Any) -> QuerySet[TrainedModel]:
    """Return those of them that share one account out between several pairs."""
    return models(user).filter(spec__has_key="pairs").exclude(spec__pairs=[])


def running(user: Any) -> dict[str, Any]:
    """Return unfinished work of a user: training runs with share and ETA, and backtests. Two queries."""
    runs = TrainingRun.objects.unfinished().visible_to(user).select_related("series")
    tests = Backtest.objects.unfinished().visible_to(user).select_related("series", "model")
    return {"runs": list(runs), "backtests": list(tests.defer("curve", "trades"))}


def councils(user: Any) -> QuerySet[Council]:
    """Return the councils a user may choose from, newest first."""
    return Council.objects.visible_to(user).filter(is_archived=False)


def curves(run: TrainingRun) -> dict[str, dict[str, list[float]]]:
    """Return every reported figure of a run as `{name: {"steps": [...], "values": [...]}}`. One query."""
    found: dict[str, dict[str, list[float]]] = {}
    for step, values in run.metrics.order_by("step").values_list("step", "values"):
        for name, value in values.items():
            if value is not None:
                line = found.setdefault(name, {"steps": [], "values": []})
                line["steps"].append(step)
                line["values"].append(value)
    return found


def model_named(user: Any, text: str) -> TrainedModel:
    """Return the model with this id or name. :raises BadInput: when the user has none such"""
    rows = TrainedModel.objects.visible_to(user).select_related("series")
    found = rows.filter(name=text).first()
    if found is None and text.isascii() and text.isdigit():
        found = rows.filter(pk=int(text[:18])).first()
    if found is None:
        raise BadInput(f"there is no model {text!r}", "model")
    return found


def run_named(user: Any, text: str) -> TrainingRun:
    """Return the training run with this id, or the newest of this name.

    :raises BadInput: when the user has none such
    """
    rows = TrainingRun.objects.visible_to(user).select_related("series", "owner")
    found = rows.filter(name=text).first()
    if found is None and text.isascii() and text.isdigit():
        found = rows.filter(pk=int(text[:18])).first()
    if found is None:
        raise BadInput(f"there is no training run {text!r}", "run")
    return found


def council_named(user: Any, text: str) -> Council:
    """Return the council with this id or name, `council:` before it or not.

    :raises BadInput: when the user has none such
    """
    name = text.removeprefix("council:")
    rows = Council.objects.visible_to(user)
    found = rows.filter(name=name).first()
    if found is None and name.isascii() and name.isdigit():
        found = rows.filter(pk=int(name[:18])).first()
    if found is None:
        raise BadInput(f"there is no council {name!r}", "council")
    return found


def policy_named(user: Any, text: str) -> dict[str, Any]:
    """Return {"model", "baseline", "council"} of a model's id or name, `baseline:NAME` or `council:NAME`.

    :raises BadInput: when the user has none such
    """
    kind, _, name = text.partition(":")
    if kind == "baseline" and name:
        return {"model": None, "baseline": name, "council": None}
    if kind == "council" and name:
        return {"model": None, "baseline": "", "council": council_named(user, name)}
    return {"model": model_named(user, text), "baseline": "", "council": None}
