"""Pages about learning: training runs, models, backtests."""

from bisect import bisect_left
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from agents import services
from agents.forms import BacktestForm, OpenTestForm, SpecFileForm, TrainingForm
from agents.models import Backtest, JobStatus, ModelStatus, TrainedModel, TrainingRun
from agents.models.run import VALID
from agents.settings_page import SettingsPage
from agents.spec import TrainingSpec, written
from market.web import metrics, sse
from market.web.numbers import currency_of
from market.web.ownership import visible
from market.web.pages import attempt, do, page_of, unbound_or_posted
from market.web.roles import Role, page

MARKS = 300
UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@require_GET
@page()
def runs(request: HttpRequest) -> HttpResponse:
    rows = visible(TrainingRun, request.user).select_related("series", "model")
    is_partial = request.headers.get("HX-Request") == "true"
    template = "agents/_runs.html" if is_partial else "agents/runs.html"
    return render(request, template, {"page": page_of(request, rows)})


@page(Role.OPERATOR)
def run_start(request: HttpRequest) -> HttpResponse:
    links = [("Use a spec file", reverse("run-from-file")), ("Back", reverse("runs"))]
    page = SettingsPage("agents/run_start.html", "Start training", links)
    return page.answer(request, TrainingForm, lambda form: redirect("run", _start(request.user, form).pk))


def _start(user: Any, form: TrainingForm) -> TrainingRun:
    return services.start_training(owner=user, name=form.cleaned_data["name"], spec=form.spec(), by=user)


@page(Role.OPERATOR)
def run_from_file(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, SpecFileForm, user=request.user)
    if request.method == "POST":
        user = request.user
        run = attempt(
            form,
            lambda **given: services.start_training(
                owner=user, name=given["name"], spec=form.chosen(), by=user
            ),
        )
        if run is not None:
            return redirect("run", run.pk)
    status = 422 if form.errors else 200
    return render(request, "agents/run_from_file.html", {"form": form}, status=status)


@require_GET
@page()
def run_spec(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the run's complete settings as a file for `train --spec`."""
    text = written(TrainingSpec.stored(_run(request, pk).spec).as_dict())
    named = {"Content-Disposition": f'attachment; filename="run-{pk}.yaml"'}
    return HttpResponse(text, content_type="application/yaml; charset=utf-8", headers=named)


@require_GET
@page()
def run(request: HttpRequest, pk: int) -> HttpResponse:
    found = _run(request, pk)
    context = {
        "run": found,
        "is_open": found.status in UNFINISHED,
        "latest": metrics.rows(_shown(found)),
        "made": getattr(found, "model", None),
        "summary": found.error.partition("\n")[0],
    }
    is_partial = request.headers.get("HX-Request") == "true"
    return render(request, "agents/_run_update.html" if is_partial else "agents/run.html", context)


def _shown(run: TrainingRun) -> dict[str, Any]:
    """Return what a run reported last; its validation figures are those of its model once there is one."""
    judged = {f"{VALID}{name}": value for name, value in run.judged.items()}
    return {name: judged.get(name, value) for name, value in run.latest.items()}


@require_GET
@page()
def run_curves(request: HttpRequest, pk: int) -> JsonResponse:
    """Answer one curve per reported value."""
    curves: dict[str, dict[str, Any]] = {}
    for step, values in _run(request, pk).metrics.values_list("step", "values"):
        for name, value in values.items():
            if isinstance(value, int | float):
                curve = curves.setdefault(name, _curve(name))
                curve["steps"].append(step)
                curve["values"].append(value)
    return JsonResponse({"curves": list(curves.values())})


@require_GET
@page()
def run_stream(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Tell the page when the run has moved on."""
    _run(request, pk)
    names = ("status", "steps_done", "heartbeat_at", "desired")
    rows: Any = TrainingRun.objects.filter(pk=pk).values(*names)
    return sse.stream(lambda: rows.all().first() or {})


@require_POST
@page(Role.OPERATOR)
def run_act(request: HttpRequest, pk: int, act: str) -> HttpResponse:
    found = _run(request, pk)
    acts = {
        "cancel": (services.cancel_training, "It stops at the next step and keeps its checkpoint."),
        "resume": (services.resume_training, "It goes on from its checkpoint."),
    }
    service, done = acts[act]
    do(request, service, done, run=found, by=request.user)
    return redirect("run", pk)


@require_GET
@page()
def models(request: HttpRequest) -> HttpResponse:
    rows = visible(TrainedModel, request.user).select_related("series", "run")
    return render(request, "agents/models.html", {"page": page_of(request, rows)})


@require_GET
@page()
def model(request: HttpRequest, pk: int) -> HttpResponse:
    rows = visible(TrainedModel, request.user).select_related("series", "run")
    found = get_object_or_404(rows, pk=pk)
    context = {
        "model": found,
        "metrics": metrics.rows(found.metrics, currency_of(found.series.pair)),
        "backtests": found.backtests.select_related("series")[:10],
        "features": _feature_names(found.feature_set),
        "is_promoted": found.status == ModelStatus.PROMOTED,
        "looks": services.openings(found),
        "reproductions": found.reproductions.order_by("-pk")[:5],
        "sessions": found.sessions.order_by("-pk")[:10],
    }
    return render(request, "agents/model.html", context)


@page(Role.OPERATOR)
def model_open_test(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(TrainedModel, request.user).select_related("series"), pk=pk)
    form = unbound_or_posted(request, OpenTestForm)
    if request.method == "POST":
        opening = attempt(
            form, lambda **given: services.open_test(model=found, by=request.user, reason=given["reason"])
        )
        if opening is not None and opening.backtest_id:
            return redirect("backtest", opening.backtest_id)
    context = {"model": found, "form": form, "looks": services.openings(found)}
    return render(request, "agents/open_test.html", context, status=422 if form.errors else 200)


@require_POST
@page(Role.OPERATOR)
def model_promote(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(TrainedModel, request.user), pk=pk)
    do(request, services.promote, f"{found.name} is promoted for live trading.", model=found, by=request.user)
    return redirect("model", pk)


@require_GET
@page()
def backtests(request: HttpRequest) -> HttpResponse:
    rows = (
        visible(Backtest, request.user).select_related("series", "model", "council").defer("curve", "trades")
    )
    is_partial = request.headers.get("HX-Request") == "true"
    template = "agents/_backtests.html" if is_partial else "agents/backtests.html"
    return render(request, template, {"page": page_of(request, rows)})


@page(Role.OPERATOR)
def backtest_start(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, BacktestForm, user=request.user)
    if request.method == "POST":
        made = attempt(form, lambda **given: _start_backtest(request.user, given))
        if made is not None:
            return redirect("backtest", made.pk)
    return render(request, "agents/backtest_start.html", {"form": form}, status=422 if form.errors else 200)


def _start_backtest(user: Any, given: dict[str, Any]) -> Backtest:
    return services.start_backtest(owner=user, **given.pop("policy"), **given)


@require_GET
@page()
def backtest(request: HttpRequest, pk: int) -> HttpResponse:
    rows = visible(Backtest, request.user).select_related("series", "model", "council").defer("curve")
    found = get_object_or_404(rows, pk=pk)
    currency = currency_of(found.series.pair)
    figures = metrics.rows(found.metrics, currency)
    context = {
        "backtest": found,
        "is_open": found.status in UNFINISHED,
        "metrics": figures,
        "headline": {row["name"]: row for row in figures},
        "currency": currency,
        "is_portfolio": found.model is not None and found.model.is_portfolio,
        "mark_count": MARKS,
        "trades": found.trades[-200:][::-1],
        "trade_count": len(found.trades),
        "summary": found.error.partition("\n")[0],
    }
    context["benchmark"] = "Equal weights" if context["is_portfolio"] else "Buy and hold"
    is_partial = request.headers.get("HX-Request") == "true"
    return render(request, "agents/_backtest_update.html" if is_partial else "agents/backtest.html", context)


@require_POST
@page(Role.OPERATOR)
def backtest_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(Backtest, request.user), pk=pk)
    do(request, services.cancel_computation, "The backtest is cancelled.", row=found, by=request.user)
    return redirect("backtest", pk)


@require_GET
@page()
def backtest_curve(request: HttpRequest, pk: int) -> JsonResponse:
    found = get_object_or_404(visible(Backtest, request.user).only("curve", "trades"), pk=pk)
    return JsonResponse({**found.curve, "marks": _marks(found)})


def _run(request: HttpRequest, pk: int) -> TrainingRun:
    return get_object_or_404(visible(TrainingRun, request.user).select_related("series", "model"), pk=pk)


def _marks(backtest: Backtest) -> list[dict[str, Any]]:
    """Return the last fills with the height of the equity curve at their time."""
    times, equity = backtest.curve.get("t_ms", []), backtest.curve.get("equity", [])
    if not times:
        return []
    trades = backtest.trades[-MARKS:]
    nearest = [min(bisect_left(times, trade["t_ms"]), len(times) - 1) for trade in trades]
    return [
        {
            "t_ms": trade["t_ms"],
            "equity": equity[at],
            "side": trade["side"],
            "text": _mark_text(trade),
        }
        for trade, at in zip(trades, nearest, strict=True)
    ]


def _mark_text(trade: dict[str, Any]) -> str:
    pair = f" {trade['pair']}" if "pair" in trade else ""
    return f"{trade['reason']}: {trade['quantity']:g}{pair} at {trade['price']:g}"


def _curve(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": metrics.label(name),
        "definition": metrics.explained(name),
        "steps": [],
        "values": [],
    }


def _feature_names(feature_set: Any) -> list[str]:
    rows = feature_set.get("features", []) if isinstance(feature_set, dict) else feature_set
    return [row.get("name", str(row)) if isinstance(row, dict) else str(row) for row in rows]
