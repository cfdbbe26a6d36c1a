"""Portfolio plans: start one, see how far its pairs are from their weights, pause and stop it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from market.web.ownership import visible
from market.web.pages import attempt, do, unbound_or_posted
from market.web.roles import Role, page
from trading import selectors, services
from trading.models import PortfolioPlan
from trading.plan_forms import PlanForm


@page(Role.OPERATOR)
def plans(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, PlanForm, user=request.user)
    if request.method == "POST":
        made = attempt(form, services.start_plan, by=request.user)
        if made is not None:
            messages.success(request, f"{made} is started: its sessions trade as soon as a runner has them.")
            return redirect("plan", made.pk) if made.model_id else redirect("plans")
    context = {"plans": selectors.plans_of(request.user), "form": form}
    return render(request, "trading/plans.html", context, status=422 if form.errors else 200)


@require_GET
@page()
def plan(request: HttpRequest, pk: int) -> HttpResponse:
    rows = visible(PortfolioPlan, request.user).select_related("account", "risk", "model")
    found = get_object_or_404(rows.prefetch_related("sessions"), pk=pk)
    is_partial = request.headers.get("HX-Request") == "true"
    template = "trading/_plan.html" if is_partial else "trading/plan.html"
    return render(request, template, selectors.plan_detail(found))


@require_GET
@page()
def plan_chart(request: HttpRequest, pk: int) -> JsonResponse:
    return JsonResponse(selectors.plan_chart(get_object_or_404(visible(PortfolioPlan, request.user), pk=pk)))


@require_POST
@page(Role.OPERATOR)
def plan_act(request: HttpRequest, pk: int, act: str) -> HttpResponse:
    plan = get_object_or_404(visible(PortfolioPlan, request.user), pk=pk)
    service, done = {
        "pause": (services.pause_plan, "pauses: it guards its stops and decides nothing"),
        "resume": (services.resume_plan, "decides again"),
    }[act]
    do(request, service, f"{plan} {done}.", plan=plan, by=request.user)
    return redirect("plan", plan.pk)


@require_POST
@page(Role.OPERATOR)
def plan_stop(request: HttpRequest, pk: int) -> HttpResponse:
    plan = get_object_or_404(visible(PortfolioPlan, request.user), pk=pk)
    flatten = request.POST.get("flatten") == "yes"
    do(request, services.stop_plan, f"{plan} stops.", plan=plan, flatten=flatten, by=request.user)
    return redirect("plan", plan.pk) if plan.model_id else redirect("plans")
