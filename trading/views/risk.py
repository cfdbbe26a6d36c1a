"""The Risk page, exposure caps, and orders that wait for a person."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from market.errors import BadInput
from market.web.ownership import visible
from market.web.pages import attempt, do, errors_of
from market.web.roles import Role, page
from trading import selectors, services, waiting
from trading.forms import CapForm, EndForm
from trading.models import ExposureCap, LiveSession, Order, OrderStatus


@require_GET
@page()
def overview(request: HttpRequest) -> HttpResponse:
    return _overview(request, CapForm(user=request.user))


def _overview(request: HttpRequest, form: CapForm, status: int = 200) -> HttpResponse:
    context = {**selectors.risk_overview(request.user), "form": form}
    return render(request, "trading/risk_overview.html", context, status=status)


@require_POST
@page(Role.ADMIN)
def cap_set(request: HttpRequest) -> HttpResponse:
    """Set a cap; one of the same scope and currency is replaced."""
    form = CapForm(request.POST, user=request.user)
    if attempt(form, lambda **given: _set(request.user, given)) is None:
        return _overview(request, form, 422)
    messages.success(request, "The cap is set; sessions follow it from their next order on.")
    return redirect("risk-overview")


def _set(user: Any, given: dict[str, Any]) -> ExposureCap:
    owner = given["account"].owner if given["account"] else user
    same = ExposureCap.objects.filter(
        owner=owner, account=given["account"], currency=given["currency"].strip().upper()
    )
    return services.set_cap(owner=owner, by=user, cap=same.first(), **given)


@require_POST
@page(Role.ADMIN)
def cap_lift(request: HttpRequest, pk: int) -> HttpResponse:
    cap = get_object_or_404(visible(ExposureCap, request.user), pk=pk)
    do(request, services.lift_cap, "The cap is lifted.", cap=cap, by=request.user)
    return redirect("risk-overview")


@require_POST
@page(Role.OPERATOR)
def order_decide(request: HttpRequest, pk: int, act: str) -> HttpResponse:
    """Approve or reject an order that waits."""
    mine = Order.objects.filter(session__in=visible(LiveSession, request.user))
    order = get_object_or_404(mine.select_related("session__owner"), pk=pk)
    if act == "approve":
        done = "Approved: it is sent once the price has been looked at again."
        do(request, services.approve_order, done, order=order, by=request.user)
    else:
        reason = request.POST.get("reason", "")
        do(request, services.reject_order, "Rejected.", order=order, reason=reason, by=request.user)
    return redirect("risk-overview")


@require_POST
@page(Role.OPERATOR)
def order_end(request: HttpRequest, pk: int) -> HttpResponse:
    """End an order that nobody but a person can."""
    mine = Order.objects.filter(session__in=visible(LiveSession, request.user))
    order = get_object_or_404(mine.select_related("session__owner", "account"), pk=pk)
    form = EndForm(request.POST)
    ended = attempt(form, services.end_order, order=order, by=request.user)
    if ended is None:
        messages.error(request, errors_of(form))
    else:
        messages.success(request, ended.sentence)
    return redirect("risk-overview")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def approval_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show one waiting order to whoever holds its signed link, and take their answer.

    Only a POST decides: programs that preview links send GETs. Nobody signs in here; the link is the right.
    """
    order = waiting.order_of(token)
    if order is None:
        return render(request, "trading/approval.html", {"order": None}, status=404)
    said, status = "", 200
    if request.method == "POST":
        said, status = _answered(order, request.POST.get("answer", ""))
    is_waiting = order.status == OrderStatus.WAITING and not waiting.is_expired(order)
    context = {"order": order, "said": said, "is_waiting": is_waiting}
    return render(request, "trading/approval.html", context, status=status)


def _answered(order: Order, answer: str) -> tuple[str, int]:
    try:
        if answer == "approve":
            services.approve_order(order=order, via="link")
            return "Approved: it is sent once the price has been looked at again.", 200
        if answer == "reject":
            services.reject_order(order=order, via="link")
            return "Rejected: nothing is sent.", 200
    except BadInput as error:
        return f"{error.message[:1].upper()}{error.message[1:]}.", 409
    return "Choose to approve or to reject it.", 400
