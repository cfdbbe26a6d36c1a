"""Home and trades."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from market.web.ownership import visible
from market.web.pages import page_of
from market.web.roles import Role, page
from trading import selectors, services
from trading.models import Fill, LiveSession


@require_GET
@page()
def home(request: HttpRequest) -> HttpResponse:
    is_partial = request.headers.get("HX-Request") == "true"
    template = "trading/_home.html" if is_partial else "trading/home.html"
    return render(request, template, selectors.home(request.user))


@require_POST
@page(Role.OPERATOR)
def stop_all(request: HttpRequest) -> HttpResponse:
    flatten = request.POST.get("flatten") == "yes"
    mine = visible(LiveSession, request.user)
    stopped, kept = services.stop_all(sessions=mine, flatten=flatten, by=request.user)
    for sentence in kept:
        messages.error(request, sentence)
    if stopped or not kept:
        messages.success(request, f"{stopped} session{'' if stopped == 1 else 's'} asked to stop.")
    return redirect("home")


@require_GET
@page()
def trades(request: HttpRequest) -> HttpResponse:
    rows = Fill.objects.filter(session__in=visible(LiveSession, request.user)).order_by("-id")
    context = {"page": page_of(request, rows.select_related("order", "session"), 100)}
    return render(request, "trading/trades.html", context)
