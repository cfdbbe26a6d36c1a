"""Pages about experiments: many runs as one job, live."""

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from agents import services
from agents.forms import ExperimentForm
from agents.models import Experiment, JobStatus
from agents.settings_page import SettingsPage
from market.web import metrics
from market.web.ownership import visible
from market.web.pages import do, page_of
from market.web.roles import Role, page

UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@require_GET
@page()
def experiments(request: HttpRequest) -> HttpResponse:
    open_runs = Count("runs", filter=Q(runs__status__in=UNFINISHED))
    rows = visible(Experiment, request.user).select_related("series")
    rows = rows.annotate(run_count=Count("runs"), open_count=open_runs).order_by("-pk")
    return render(request, "agents/experiments.html", {"page": page_of(request, rows)})


@page(Role.OPERATOR)
def experiment_start(request: HttpRequest) -> HttpResponse:
    page = SettingsPage("agents/experiment_start.html", "Start all runs", [("Back", reverse("experiments"))])
    return page.answer(
        request, ExperimentForm, lambda form: redirect("experiment", _start(request.user, form).pk)
    )


def _start(user: Any, form: ExperimentForm) -> Experiment:
    return services.start_experiment(
        owner=user, name=form.cleaned_data["name"], spec=form.spec(), by=user, **form.plan()
    )


@require_GET
@page()
def experiment(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(Experiment, request.user).select_related("series"), pk=pk)
    runs = list(found.runs.select_related("model").order_by("pk"))
    rows = [
        {
            "run": run,
            "is_open": run.status in UNFINISHED,
            "score": metrics.text("score", run.judged.get("score")),
            "gain": run.judged.get("total_return"),
            "held": run.judged.get("benchmark_return"),
        }
        for run in runs
    ]
    done, total = sum(run.steps_done for run in runs), sum(run.steps_total for run in runs)
    fps = sum(run.fps or 0.0 for run in runs if run.status == JobStatus.RUNNING)
    open_steps = sum(row["run"].steps_total - row["run"].steps_done for row in rows if row["is_open"])
    context = {
        "experiment": found,
        "rows": rows,
        "is_open": any(row["is_open"] for row in rows),
        "counts": {status: sum(run.status == status for run in runs) for status in JobStatus.values},
        "total": len(runs),
        "steps_done": done,
        "steps_total": total,
        "share": done / total if total else 0.0,
        "fps": fps,
        "eta": open_steps / fps if fps else None,
    }
    is_partial = request.headers.get("HX-Request") == "true"
    return render(request, "agents/_experiment.html" if is_partial else "agents/experiment.html", context)


@require_POST
@page(Role.OPERATOR)
def experiment_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(Experiment, request.user), pk=pk)
    done = "Its runs stop at their next step and keep their checkpoints."
    do(request, services.cancel_experiment, done, experiment=found, by=request.user)
    return redirect("experiment", pk)
