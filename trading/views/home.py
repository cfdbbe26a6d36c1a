"""Home, trades and alerts."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from market.errors import BadInput
from market.web import audit
from market.web.ownership import visible
from market.web.pages import page_of
from market.web.roles import Role, page
from trading import selectors, services
from trading.models import Alert, Fill, LiveSession


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
    stopped, kept = 0, 0
    for session in visible(LiveSession, request.user).driven():
        try:
            services.stop_session(session=session, flatten=flatten, by=request.user)
            stopped += 1
        except BadInput as error:
            kept += 1
            messages.error(request, f"{session.name}: {error.message}")
    if stopped or not kept:
        messages.success(request, f"{stopped} session{'' if stopped == 1 else 's'} asked to stop.")
    return redirect("home")


@require_GET
@page()
def trades(request: HttpRequest) -> HttpResponse:
    rows = Fill.objects.filter(session__in=visible(LiveSession, request.user)).order_by("-id")
    context = {"page": page_of(request, rows.select_related("order", "session"), 100)}
    return render(request, "trading/trades.html", context)


@require_GET
@page()
def alerts(request: HttpRequest) -> HttpResponse:
    closed = visible(Alert, request.user).exclude(closed_at=None).select_related("session")
    context = {"open": selectors.open_alerts(request.user), "page": page_of(request, closed)}
    return render(request, "trading/alerts.html", context)


@require_POST
@page(Role.OPERATOR)
def alert_close(request: HttpRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(visible(Alert, request.user), pk=pk)
    if Alert.objects.filter(pk=alert.pk, closed_at=None).update(closed_at=timezone.now()):
        audit.record(request.user, "alert.close", alert, key=alert.key)
        messages.success(request, "The alert is closed; it opens again if its reason comes back.")
    return redirect("alerts")
