"""Sessions: list, start, the live page, its buttons and its stream; decisions."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from market.web import sse
from market.web.ownership import visible
from market.web.pages import attempt, do, page_of, unbound_or_posted
from market.web.roles import Role, page, require
from trading import selectors, services
from trading.forms import SessionForm
from trading.models import Decision, LiveSession, RiskState, SessionStatus

HOURS = {"1": "1 h", "24": "24 h", "168": "7 d", "0": "All"}


@require_GET
@page()
def sessions(request: HttpRequest) -> HttpResponse:
    rows = page_of(request, selectors.sessions_of(request.user))
    figures = [selectors.session_figures(session) for session in rows]
    return render(request, "trading/sessions.html", {"page": rows, "rows": figures})


@page(Role.OPERATOR)
def session_start(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, SessionForm, user=request.user)
    if request.method == "POST":
        session = attempt(form, lambda **given: _start(request.user, given))
        if session is not None:
            return redirect("session", session.pk)
    return render(request, "trading/session_start.html", {"form": form}, status=422 if form.errors else 200)


def _start(user: Any, given: dict[str, Any]) -> LiveSession:
    return services.start_session(by=user, **given.pop("policy"), **given)


@require_GET
@page()
def session(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(selectors.sessions_of(request.user), pk=pk)
    is_partial = request.headers.get("HX-Request") == "true"
    context = {**selectors.live_state(found), **selectors.session_facts(found), **_buttons(found)}
    context["hours"] = HOURS
    return render(request, "trading/_session.html" if is_partial else "trading/session.html", context)


@require_GET
@page()
def session_chart(request: HttpRequest, pk: int) -> JsonResponse:
    found = _own(request, pk)
    asked = request.GET.get("hours", "24")
    return JsonResponse(selectors.chart(found, hours=float(asked) if asked in HOURS else 24.0))


@require_GET
@page()
def session_stream(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Tell the page whenever the session has moved on."""
    _own(request, pk)
    return sse.stream(lambda: selectors.version(pk))


@require_POST
@page(Role.OPERATOR)
def session_act(request: HttpRequest, pk: int, act: str) -> HttpResponse:
    found = _own(request, pk)
    given: dict[str, Any] = {"session": found, "by": request.user}
    if act == "pause":
        do(request, services.pause_session, "Paused: it guards its stops and decides nothing.", **given)
    elif act == "resume":
        do(request, services.resume_session, "Resumed.", **given)
    elif act == "flatten":
        do(request, services.flatten_session, "It sells what it holds, then stops.", **given)
    elif act == "unhalt":
        require(request.user, Role.ADMIN)
        reason = request.POST.get("reason", "").strip()
        do(request, services.resume_from_halt, "Trading again.", reason=reason, **given)
    else:
        do(request, services.stop_session, "Stopping; what is held stays in the account.", **given)
    return redirect("session", pk)


@require_GET
@page()
def decisions(request: HttpRequest, pk: int) -> HttpResponse:
    found = _own(request, pk)
    rows = page_of(request, found.decisions.prefetch_related("orders"), 100)
    return render(request, "trading/decisions.html", {"session": found, "page": rows})


@require_GET
@page()
def decision(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Decision.objects.filter(session__in=visible(LiveSession, request.user))
    found = get_object_or_404(rows.select_related("session__model"), pk=pk)
    return render(request, "trading/decision.html", selectors.decision_facts(found))


def _own(request: HttpRequest, pk: int) -> LiveSession:
    return get_object_or_404(
        visible(LiveSession, request.user).select_related("account", "risk", "model", "council"), pk=pk
    )


def _buttons(session: LiveSession) -> dict[str, bool]:
    """Say which acts make sense now."""
    status = session.status
    return {
        "can_pause": status == SessionStatus.RUNNING,
        "can_resume": status in (SessionStatus.PAUSED, SessionStatus.FAILED),
        "can_flatten": status == SessionStatus.FAILED and session.held != 0,
        "can_stop": status in (SessionStatus.PENDING, SessionStatus.RUNNING, SessionStatus.PAUSED),
        "is_open": status not in (SessionStatus.STOPPED, SessionStatus.FAILED),
        "is_halted": session.risk_state in (RiskState.HALTED, RiskState.SAFE),
    }
