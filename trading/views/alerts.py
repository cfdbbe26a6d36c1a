"""Alerts, the channels they take, the rules that choose, the delivery log."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from market import leases
from market.web.ownership import visible
from market.web.pages import attempt, do, page_of, unbound_or_posted
from market.web.roles import Role, page, person
from trading import selectors
from trading.forms import AlertFilter, ChannelChangeForm, ChannelForm, RuleForm
from trading.models import Alert, AlertChannel, AlertRule, Delivery, DeliveryStatus
from trading.services import channels as services


@require_GET
@page()
def alerts(request: HttpRequest) -> HttpResponse:
    chosen = AlertFilter(request.GET)
    closed = visible(Alert, request.user).exclude(closed_at=None).select_related("session")
    context = {
        "open": chosen.applied(selectors.open_alerts(request.user)),
        "page": page_of(request, chosen.applied(closed)),
        "filter": chosen,
        "has_channel": visible(AlertChannel, request.user).filter(is_active=True).exists(),
        "is_watched": leases.is_held("watchdog"),
    }
    return render(request, "trading/alerts.html", context)


@require_POST
@page(Role.OPERATOR)
def alert_close(request: HttpRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(visible(Alert, request.user), pk=pk)
    if services.close(alert=alert, by=request.user):
        messages.success(request, "The alert is closed; it opens again if its reason comes back.")
    return redirect("alerts")


@require_POST
@page(Role.OPERATOR)
def alert_acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(visible(Alert, request.user), pk=pk)
    if services.acknowledge(alert=alert, by=request.user):
        messages.success(request, "Seen: nothing more is sent about it unless it becomes louder.")
    return redirect("alerts")


@require_GET
@page()
def deliveries(request: HttpRequest) -> HttpResponse:
    rows = visible(Delivery, request.user).select_related("alert", "channel")
    return render(request, "trading/deliveries.html", {"page": page_of(request, rows)})


@page(Role.OPERATOR)
def channels(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, ChannelForm)
    if request.method == "POST":
        made = attempt(form, services.create_channel, owner=request.user, by=request.user)
        if made is not None:
            messages.success(request, f"{made.name} is added and gets everything from a warning on. Test it.")
            return redirect("channels")
    context = {
        "channels": visible(AlertChannel, request.user).order_by("name"),
        "rules": visible(AlertRule, request.user).select_related("channel"),
        "form": form,
        "is_watched": leases.is_held("watchdog"),
    }
    return render(request, "trading/channels.html", context, status=422 if form.errors else 200)


@page(Role.OPERATOR)
def channel(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(AlertChannel, request.user), pk=pk)
    form = unbound_or_posted(request, ChannelChangeForm)
    given: dict[str, Any] = {"channel": found, "by": request.user}
    if request.method == "POST" and attempt(form, services.change_channel, **given) is not None:
        messages.success(request, "The new address is stored. Test it.")
        return redirect("channel", pk)
    context = {
        "channel": found,
        "form": form,
        "rules": found.rules.all(),
        "deliveries": found.deliveries.select_related("alert")[:20],
    }
    return render(request, "trading/channel.html", context, status=422 if form.errors else 200)


@require_POST
@page(Role.OPERATOR)
def channel_act(request: HttpRequest, pk: int, act: str) -> HttpResponse:
    found = get_object_or_404(visible(AlertChannel, request.user), pk=pk)
    given: dict[str, Any] = {"channel": found, "by": request.user}
    if act == "test":
        do(request, _test, "The test was taken by the receiver. Look whether it is there.", **given)
    elif act == "switch":
        done = "Switched off." if found.is_active else "Switched on."
        do(request, services.change_channel, done, is_active=not found.is_active, **given)
    else:
        do(request, services.delete_channel, f"{found.name} is forgotten.", **given)
        return redirect("channels")
    return redirect("channel", pk)


def _test(*, channel: AlertChannel, by: Any) -> None:
    """Send a test.

    :raises Conflict: when it did not arrive, or cannot be sent now.
    """
    delivery = services.check_channel(channel=channel, by=by)
    if delivery.status != DeliveryStatus.SENT:
        raise services.Conflict(f"The test did not arrive: {delivery.answer or 'it is on its way'}.")


@page(Role.OPERATOR)
def rule(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    found = get_object_or_404(visible(AlertRule, request.user), pk=pk) if pk else None
    owner = found.owner if found is not None else person(request)
    form = RuleForm(request.POST or None, owner=owner, rule=found)
    given = {"owner": owner, "rule": found, "by": request.user}
    if request.method == "POST" and attempt(form, services.save_rule, **given) is not None:
        messages.success(request, "The rule is saved and counts from now on.")
        return redirect("channels")
    context = {"form": form, "rule": found, "has_channel": form.fields["channel"].queryset.exists()}  # type: ignore[attr-defined]
    return render(request, "trading/rule.html", context, status=422 if form.errors else 200)


@require_POST
@page(Role.OPERATOR)
def rule_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(AlertRule, request.user), pk=pk)
    do(request, services.delete_rule, "The rule is gone.", rule=found, by=request.user)
    return redirect("channels")
