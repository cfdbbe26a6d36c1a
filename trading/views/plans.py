"""Portfolio plans: start one, see how far its pairs are from their weights, stop it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from market.web.ownership import visible
from market.web.pages import attempt, do, unbound_or_posted
from market.web.roles import Role, page, person
from trading import selectors, services
from trading.forms import PlanForm
from trading.models import PortfolioPlan


@page(Role.OPERATOR)
def plans(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, PlanForm, user=request.user)
    if request.method == "POST":
        made = attempt(form, services.start_plan, owner=person(request), by=request.user)
        if made is not None:
            messages.success(request, f"{made} is started: its sessions trade as soon as a runner has them.")
            return redirect("plans")
    context = {"plans": selectors.plans_of(request.user), "form": form}
    return render(request, "trading/plans.html", context, status=422 if form.errors else 200)


@require_POST
@page(Role.OPERATOR)
def plan_stop(request: HttpRequest, pk: int) -> HttpResponse:
    plan = get_object_or_404(visible(PortfolioPlan, request.user), pk=pk)
    flatten = request.POST.get("flatten") == "yes"
    do(request, services.stop_plan, f"{plan} stops.", plan=plan, flatten=flatten, by=request.user)
    return redirect("plans")
