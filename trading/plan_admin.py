"""Admin of portfolio plans, through the same services as the pages."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from market.candles import MS
from market.web.admin import OwnedAdmin, ServiceAdmin, ServiceForm, confirmed
from trading import services
from trading.models import PlanDecision, PlanPoint, PortfolioPlan


class PlanForm(ServiceForm):
    """Starts a portfolio plan, with weights of one's own or a model's."""

    pairs = forms.CharField(
        max_length=1000,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Of the model, as the venue spells them, in its order: BTC/USD, ETH/USD.",
    )
    weights = forms.JSONField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text='Without a model: pair and share, like {"BTC/USD": 0.5, "ETH/USD": 0.3}.',
    )
    interval = forms.ChoiceField(
        choices=[("", "1h, of a model its own"), *((name, name) for name in MS)],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    every = forms.IntegerField(
        min_value=1,
        max_value=10_000,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        label="Bars between two looks",
    )
    band = forms.FloatField(
        min_value=0, max_value=0.5, required=False, widget=UnfoldAdminTextInputWidget, help_text="Like 0.05."
    )

    class Meta:
        model = PortfolioPlan
        fields = ("name", "account", "model", "capital", "risk")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["risk"].required = False

    def clean_weights(self) -> dict[str, Any] | None:
        given = self.cleaned_data["weights"]
        if given is not None and not isinstance(given, dict):
            raise forms.ValidationError('Weights are an object like {"BTC/USD": 0.5}.')
        return given

    def act(self, user: Any, given: dict[str, Any]) -> PortfolioPlan:
        given["pairs"] = given["pairs"].replace(",", " ").split() or None
        given["interval"] = given["interval"] or None
        return services.start_plan(by=user, **given)


@admin.register(PortfolioPlan)
class PlanAdmin(ServiceAdmin):
    add_form = PlanForm
    list_display = ("name", "account", "model", "weights", "band", "every", "capital", "owner", "created_at")
    list_select_related = ("account", "model", "owner")
    search_fields = ("name",)
    actions = ("pause", "resume", "stop", "flatten")

    @confirmed("Pause", "All sessions of these plans guard their stops and decide nothing.", done="paused")
    def pause(self, request: HttpRequest, plan: PortfolioPlan) -> None:
        services.pause_plan(plan=plan, by=request.user)

    @confirmed("Resume", "All paused sessions of these plans decide again.", done="resumed")
    def resume(self, request: HttpRequest, plan: PortfolioPlan) -> None:
        services.resume_plan(plan=plan, by=request.user)

    @confirmed("Stop", "All sessions of these plans stop; what they hold stays.", done="stopping")
    def stop(self, request: HttpRequest, plan: PortfolioPlan) -> None:
        services.stop_plan(plan=plan, by=request.user)

    @confirmed(
        "Flatten and stop", "All sessions of these plans sell what they hold, then stop.", done="selling"
    )
    def flatten(self, request: HttpRequest, plan: PortfolioPlan) -> None:
        services.stop_plan(plan=plan, flatten=True, by=request.user)


@admin.register(PlanDecision)
class PlanDecisionAdmin(OwnedAdmin):
    owner_path = "plan__owner"
    list_display = ("plan", "bar_ms", "is_made", "weights", "held", "value", "reason", "latency_us")
    list_filter = ("plan", "is_made")
    list_select_related = ("plan",)


@admin.register(PlanPoint)
class PlanPointAdmin(OwnedAdmin):
    owner_path = "plan__owner"
    list_display = ("plan", "at_ms", "equity", "cash", "drawdown")
    list_filter = ("plan",)
    list_select_related = ("plan",)
