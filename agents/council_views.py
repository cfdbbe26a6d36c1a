"""Pages about councils: who votes, what each member adds, how far they disagree."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from agents import services
from agents.forms import CouncilForm, ReviewForm
from agents.models import Council, CouncilReview, JobStatus
from agents.policies.council import COMBINES, METHODS
from market.web.ownership import visible
from market.web.pages import attempt, do, page_of, unbound_or_posted
from market.web.roles import Role, page

UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


@require_GET
@page()
def councils(request: HttpRequest) -> HttpResponse:
    rows = visible(Council, request.user).prefetch_related("members")
    return render(request, "agents/councils.html", {"page": page_of(request, rows)})


@page(Role.OPERATOR)
def council_create(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, CouncilForm, user=request.user)
    if request.method == "POST":
        made = attempt(form, lambda **given: _create(request.user, form, given))
        if made is not None:
            return redirect("council", made.pk)
    return render(request, "agents/council_create.html", {"form": form}, status=422 if form.errors else 200)


def _create(user: Any, form: CouncilForm, given: dict[str, Any]) -> Council:
    chosen = {name: given[name] for name in ("name", "method", "combine", "quorum")}
    return services.create_council(owner=user, members=form.seats(), by=user, **chosen)


@require_GET
@page()
def council(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(Council, request.user), pk=pk)
    context = {
        "council": found,
        "members": found.members.select_related("model"),
        "method": METHODS[found.method],
        "combine": COMBINES[found.combine],
        "reviews": found.reviews.select_related("series").defer("curve", "settings")[:10],
        "backtests": found.backtests.select_related("series").defer("curve", "trades")[:10],
        "sessions": found.sessions.all()[:10],
    }
    return render(request, "agents/council.html", context)


@require_POST
@page(Role.OPERATOR)
def council_archive(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(Council, request.user), pk=pk)
    do(request, services.archive_council, f"{found.name} is archived.", council=found, by=request.user)
    return redirect("council", pk)


@page(Role.OPERATOR)
def review_start(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, ReviewForm, user=request.user)
    if request.method == "POST":
        made = attempt(form, lambda **given: services.start_review(owner=request.user, **given))
        if made is not None:
            return redirect("council-review", made.pk)
    return render(request, "agents/review_start.html", {"form": form}, status=422 if form.errors else 200)


@require_GET
@page()
def review(request: HttpRequest, pk: int) -> HttpResponse:
    rows = visible(CouncilReview, request.user).select_related("council", "series").defer("curve")
    found = get_object_or_404(rows, pk=pk)
    disagreement = found.result.get("disagreement", {})
    names = disagreement.get("names", [])
    context = {
        "review": found,
        "is_open": found.status in UNFINISHED,
        "whole": found.result.get("whole"),
        "members": found.result.get("members", []),
        "disagreement": disagreement,
        "agreement": list(zip(names, disagreement.get("agreement", []), strict=True)),
        "summary": found.error.partition("\n")[0],
    }
    is_partial = request.headers.get("HX-Request") == "true"
    return render(request, "agents/_review_update.html" if is_partial else "agents/review.html", context)


@require_POST
@page(Role.OPERATOR)
def review_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(CouncilReview, request.user), pk=pk)
    do(request, services.cancel_computation, "The review is cancelled.", row=found, by=request.user)
    return redirect("council-review", pk)


@require_GET
@page()
def review_curve(request: HttpRequest, pk: int) -> JsonResponse:
    return JsonResponse(get_object_or_404(visible(CouncilReview, request.user).only("curve"), pk=pk).curve)
