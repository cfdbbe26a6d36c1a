"""Reviews of councils: what each member adds, and how far they disagree, over stored candles."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction

from agents import provenance
from agents.backtest.report import assumptions
from agents.evaluation.council import review
from agents.models import Backtest, Council, CouncilReview, JobStatus
from agents.policies.council import Council as CouncilPolicy
from agents.services.backtests import history_for_good, planned, rows_of, stretch
from agents.services.computing import carry_out
from agents.services.queue import enqueue_review
from agents.services.sealed import end_before_test, models_of
from market import archive
from market.errors import BadInput
from market.models import Series
from market.web.audit import record


def start_review(**asked: Any) -> CouncilReview:
    """Have a worker review a council; see `_created` for the arguments.

    :raises BadInput: for a council, stretch or setting that cannot be used
    """
    made = _created(**asked)
    transaction.on_commit(partial(enqueue_review, made.pk))
    return made


def review_now(*, tick: Callable[[float], None] | None = None, **asked: Any) -> CouncilReview:
    """Do what `start_review` asks a worker for, here and now; same arguments.

    :raises BadInput: as `start_review`, or when the review fails
    """
    made = run_review(_created(**asked).pk, tick)
    if made.status != JobStatus.DONE:
        raise BadInput(made.error.partition("\n")[0])
    return made


def run_review(review_id: int, tick: Callable[[float], None] | None = None) -> CouncilReview:
    """Compute one unfinished review and store its outcome, done or failed; a finished one is left alone."""
    row = CouncilReview.objects.select_related("council", "series", "owner").get(pk=review_id)
    carry_out(row, _compute, tick)
    return row


def _created(
    *,
    owner: Any,
    council: Council,
    series: Series,
    from_ms: int | None = None,
    to_ms: int | None = None,
    settings: dict[str, Any] | None = None,
    by: Any = None,
) -> CouncilReview:
    """Write down a review that can be done. Arguments as of `agents.services.start_backtest`."""
    to_ms = end_before_test(models_of(None, council), series, from_ms, to_ms)
    start, end = stretch(series, from_ms, to_ms)
    wanted = CouncilReview(owner=owner, council=council, series=series, from_ms=start, to_ms=end)
    wanted.settings = settings or {}
    plan = planned(_as_backtest(wanted))
    wanted.settings, wanted.policy_hash = plan.settings.model_dump(mode="json"), plan.policy.policy_hash
    wanted.from_ms = int(plan.candles.open_ms[plan.first])
    wanted.to_ms = int(plan.candles.open_ms[-1]) + series.interval_ms
    with transaction.atomic():
        wanted.save()
        record(by or owner, "council.review", wanted, council=council.name)
    return wanted


def _as_backtest(row: CouncilReview) -> Backtest:
    """Return the unsaved backtest of the whole council that a review starts from."""
    same = {
        name: getattr(row, name) for name in ("owner", "council", "series", "from_ms", "to_ms", "settings")
    }
    return Backtest(**same)


def _compute(row: CouncilReview, tick: Callable[[float], None]) -> Callable[[], None]:
    backtest = _as_backtest(row)
    plan = planned(backtest)
    assert isinstance(plan.policy, CouncilPolicy)  # noqa: S101  for the type checker: it was planned so
    rows = rows_of(plan)
    row.result, row.curve = review(
        plan.candles, rows, plan.policy, plan.settings, first=plan.first, tick=tick
    )
    row.data_fingerprint = archive.fingerprint(plan.candles[plan.first :])
    row.policy_hash, row.code_version = plan.policy.policy_hash, provenance.code_version()

    def finish() -> None:
        row.assumptions = [
            *history_for_good(backtest, plan.policy),
            *assumptions(plan.settings),
            "Without a member the others decide alone: at the same closes, with the same weights, and with a "
            "quorum of at most their number.",
        ]

    return finish
