"""Pages about what training runs did: insight into one, several compared, cards, reproductions."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from agents import comparing, selectors, services
from agents.forms import CardForm
from agents.models import TrainedModel, TrainingRun
from market.web import metrics
from market.web.ownership import visible
from market.web.pages import attempt, do, unbound_or_posted
from market.web.roles import Role, page

LOG_BYTES = 20_000
SHOWN_CURVES = 6  # validation backtests drawn at once


def _run(request: HttpRequest, pk: int) -> TrainingRun:
    return get_object_or_404(visible(TrainingRun, request.user).select_related("series"), pk=pk)


@require_GET
@page()
def run_insight(request: HttpRequest, pk: int) -> JsonResponse:
    """Answer what the run's checkpoints did and thought, and what the run used of the machine."""
    run = _run(request, pk)
    rows = list(run.validations.all())
    samples = [(int(at.timestamp() * 1000), values) for at, values in run.samples.values_list("at", "values")]
    every = max(1, len(rows) // SHOWN_CURVES)
    drawn = [row for index, row in enumerate(rows) if index % every == 0 or index == len(rows) - 1]
    return JsonResponse(
        {
            "validations": [{"step": row.step, **row.curve} for row in drawn[-SHOWN_CURVES:]],
            "actions": _lines([(row.step, row.actions) for row in rows]),
            "probes": _probes(rows),
            "resources": _lines(samples),
        }
    )


def _lines(rows: list[tuple[int, dict[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """Return name -> {"at", "values"}; a name that a row does not have is 0 there (an action never taken)."""
    names = sorted({name for _, values in rows for name in values})
    return {
        name: {"at": [at for at, _ in rows], "values": [values.get(name, 0.0) for _, values in rows]}
        for name in names
    }


def _probes(rows: list[Any]) -> list[dict[str, Any]]:
    """Return one entry per fixed state: its time, and its figures over the steps."""
    found = []
    for index, first in enumerate(rows[0].probes if rows else ()):
        states = [(row.step, row.probes[index]) for row in rows if len(row.probes) > index]
        names = list(first["probabilities"])
        logits = [
            (step, dict(zip(state.get("labels") or names or ["mean"], state["outputs"], strict=False)))
            for step, state in states
        ]
        found.append(
            {
                "t_ms": first["t_ms"],
                "probabilities": _lines([(step, state["probabilities"]) for step, state in states]),
                "outputs": _lines(logits),
            }
        )
    return found


@require_GET
@page()
def run_log(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the end of what the training process wrote."""
    path = settings.VAR_DIR / "runs" / str(_run(request, pk).pk) / "log.txt"
    text = ""
    if path.exists():
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            text = file.read().decode(errors="replace")
    return render(request, "agents/_log.html", {"text": text.strip()})


def _asked(request: HttpRequest) -> list[TrainingRun]:
    """Return the visible runs that `?runs=1,2,3` or `?experiment=1` names, oldest first."""
    rows = visible(TrainingRun, request.user).select_related("series", "model").order_by("pk")
    experiment = request.GET.get("experiment", "")
    if experiment.isascii() and experiment.isdigit():
        return list(rows.filter(experiment=int(experiment[:18]))[: comparing.MOST_RUNS])
    given = [text.strip() for text in ",".join(request.GET.getlist("runs")).split(",")]
    named = [int(text[:18]) for text in given if text.isascii() and text.isdigit()]
    return list(rows.filter(pk__in=named[: comparing.MOST_RUNS]))


@require_GET
@page()
def compare(request: HttpRequest) -> HttpResponse:
    runs = _asked(request)
    mine = visible(TrainingRun, request.user).select_related("series")[:30]
    chosen = {run.pk for run in runs}
    scores = [metrics.text("score", run.judged.get("score")) for run in runs]
    returns = [metrics.text("total_return", run.judged.get("total_return")) for run in runs]
    context = {
        "runs": list(zip(runs, scores, returns, strict=True)),
        "count": len(runs),
        "names": [run.name for run in runs],
        "differing": comparing.differing(runs),
        "best": comparing.best(runs),
        "offered": [(run, run.pk in chosen) for run in {row.pk: row for row in (*mine, *runs)}.values()],
    }
    return render(request, "agents/compare.html", context)


@require_GET
@page()
def compare_curves(request: HttpRequest) -> JsonResponse:
    """Answer every figure of the asked runs: one line per run, or a band over seeds per group of settings."""
    kinds = []
    names: dict[str, None] = {}
    for group in comparing.groups(_asked(request)):
        curves = [selectors.curves(run) for run in group]
        names |= dict.fromkeys(name for curve in curves for name in curve)
        kinds.append((group, curves))
    return JsonResponse(
        {
            "figures": [
                {
                    "name": name,
                    "label": metrics.label(name),
                    "definition": metrics.explained(name),
                    "lines": [
                        {
                            "label": _label(group),
                            "seeds": comparing.seeds_of(group),
                            **comparing.bands(curves, name),
                        }
                        for group, curves in kinds
                    ],
                }
                for name in names
            ]
        }
    )


def _label(group: list[TrainingRun]) -> str:
    seeds = comparing.seeds_of(group)
    more, again = seeds - 1, len(group) - seeds
    counted = ((more, "more seed"), (again, "rerun"))
    said = [f"{count} {word}{'s' * (count > 1)}" for count, word in counted if count]
    return " and ".join([group[0].name, *said])


@require_GET
@page()
def model_card(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the model's run card as a file for `reproduce`."""
    found = get_object_or_404(visible(TrainedModel, request.user), pk=pk)
    named = {"Content-Disposition": f'attachment; filename="model-{pk}-card.json"'}
    return JsonResponse(services.card_of(found), headers=named, json_dumps_params={"indent": 1})


@require_POST
@page(Role.OPERATOR)
def model_reproduce(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(TrainedModel, request.user).select_related("series"), pk=pk)
    made: list[TrainingRun] = []

    def act() -> None:
        made.append(services.reproduce(owner=request.user, model=found, by=request.user))

    do(request, act, "It is trained once more; this page will say whether the weights are the same.")
    return redirect("run", made[0].pk) if made else redirect("model", pk)


@page(Role.OPERATOR)
def card_reproduce(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, CardForm, user=request.user)
    if request.method == "POST":
        user = request.user
        run = attempt(form, lambda **_: services.reproduce(owner=user, by=user, **form.source()))
        if run is not None:
            return redirect("run", run.pk)
    status = 422 if form.errors else 200
    return render(request, "agents/card_reproduce.html", {"form": form}, status=status)
