"""The sealed test part of a model: nothing reads it before an opening; that and every look is counted."""

from collections.abc import Iterable
from typing import Any

from django.db.models import F

from agents.models import Backtest, Council, CouncilReview, JobStatus, TestOpening, TrainedModel
from market.errors import BadInput
from market.models import Series
from market.moments import written_ms


def models_of(model: TrainedModel | None, council: Council | None) -> list[TrainedModel]:
    """Return the trained models behind a policy."""
    if council is not None:
        return [row.model for row in council.members.select_related("model") if row.model]
    return [] if model is None else [model]


def end_before_test(
    models: Iterable[TrainedModel], series: Series, from_ms: int | None, to_ms: int | None
) -> int | None:
    """Return where a stretch without a stated end stops: before the first test part that is still sealed."""
    if to_ms is not None:
        return to_ms
    ends = [
        model.test_from_ms
        for model in _sealed(models, series)
        if model.test_from_ms is not None and (from_ms is None or from_ms < model.test_from_ms)
    ]
    return min(ends, default=None)


def require_opened(models: Iterable[TrainedModel], wanted: Backtest) -> None:
    """:raises BadInput: when a stretch reaches into the test part of a model that nobody has opened"""
    for model in _sealed(models, wanted.series):
        first, last = model.test_from_ms, model.test_to_ms
        if first is not None and last is not None and wanted.from_ms < last and wanted.to_ms > first:
            raise BadInput(
                f"{written_ms(first)} to {written_ms(last)} is the sealed test part of model {model.name}: "
                "end before it, or open it for good (its page, or `manage.py open_test`)",
                "to_ms",
            )


def openings(model: TrainedModel) -> dict[str, Any]:
    """Return how often the test part was looked at: `count`, `tests`, `rows` (newest first), and `others`.

    `count` is of openings and `tests` of finished backtests and reviews on the part beside theirs. `others`
    counts both of the owner's other models whose test parts share candles with this one.
    """
    if model.test_from_ms is None:
        return {"count": 0, "tests": 0, "rows": [], "others": 0}
    rows = list(model.openings.select_related("opened_by", "backtest"))
    others = TrainedModel.objects.filter(
        owner=model.owner_id,
        series=model.series_id,
        test_from_ms__lt=model.test_to_ms,
        test_to_ms__gt=model.test_from_ms,
    ).exclude(pk=model.pk)
    opened = TestOpening.objects.filter(model__in=others).count()
    return {"count": len(rows), "tests": _tests([model]), "rows": rows, "others": opened + _tests(others)}


def _tests(models: Iterable[TrainedModel]) -> int:
    """Return how many finished backtests and reviews read models' test parts, openings' own left out."""
    alone, member = Backtest.objects.filter(opening=None), "council__members__model"
    kinds = ((alone, "model"), (alone, member), (CouncilReview.objects.all(), member))
    return sum(
        rows.filter(
            **{f"{path}__in": models, "status": JobStatus.DONE, "series": F(f"{path}__series")},
            from_ms__lt=F(f"{path}__test_to_ms"),
            to_ms__gt=F(f"{path}__test_from_ms"),
        ).values("pk").distinct().count()
        for rows, path in kinds
    )  # fmt: skip


def said_of_test(model: TrainedModel, wanted: Backtest) -> list[str]:
    """Return, as sentences, what a reader must know about the model's test part."""
    first, last = model.test_from_ms, model.test_to_ms
    if first is None or last is None or model.series_id != wanted.series_id:
        return []
    looks = openings(model)
    inside = max(0, min(wanted.to_ms, last) - max(wanted.from_ms, first))
    is_further = inside > 0 and not any(row.backtest_id == wanted.pk for row in looks["rows"] if wanted.pk)
    tests = looks["tests"] + is_further
    since = f" and tested on {_times(tests)} since" + ", this one included" * is_further if tests else ""
    also = (
        f", and those of models on the same candles looked at {_times(looks['others'])}"
        if looks["others"] else ""
    )  # fmt: skip
    if inside:
        share = inside / (wanted.to_ms - wanted.from_ms)
        return [
            f"{share:.0%} of this stretch is the model's test part, opened {_times(looks['count'])}{since}"
            f"{also}: the first look is the honest one."
        ]
    if looks["count"] or looks["others"]:
        return [f"The model's test part has been opened {_times(looks['count'])}{since}{also}."]
    return [f"The model's test part, from {written_ms(first)} on, is sealed and was not read."]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _sealed(models: Iterable[TrainedModel], series: Series) -> list[TrainedModel]:
    with_part = [row for row in models if row.test_from_ms is not None and row.series_id == series.pk]
    opened = set(
        TestOpening.objects.filter(model__in=with_part).values_list("model_id", flat=True)
        if with_part else ()
    )  # fmt: skip
    return [row for row in with_part if row.pk not in opened]
