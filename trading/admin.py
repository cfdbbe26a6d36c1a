"""Admin of trading: everything an operator needs, through the same services as the pages."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
)

from agents.policies import BASELINES
from market.candles import MS
from market.errors import BadInput
from market.web import audit
from market.web.admin import OwnedAdmin, ServiceAdmin, ServiceForm, confirmed
from market.web.numbers import plain
from market.web.pages import attempt, errors_of
from market.web.roles import Role, person, role_of
from trading import accounts, services
from trading.exchanges.registry import LABELS
from trading.execution import KEYS as EXECUTION_KEYS
from trading.forms import EndForm, PollForm
from trading.models import (
    Account,
    CallBudget,
    DailySummary,
    Decision,
    EquityPoint,
    ExposureCap,
    Fill,
    ForeignOrders,
    Holding,
    LedgerEntry,
    LiveSession,
    Order,
    PaperState,
    ParentOrder,
    Reconciliation,
    RiskProfile,
)

NUMBER = UnfoldAdminIntegerFieldWidget
SELECT = UnfoldAdminSelectWidget


class SessionForm(ServiceForm):
    """Starts a session; exactly one of model, baseline and council."""

    name = forms.CharField(max_length=120, required=False, widget=UnfoldAdminTextInputWidget)
    baseline = forms.ChoiceField(
        choices=[("", "---------"), *((name, name) for name in BASELINES)], required=False, widget=SELECT
    )
    pair = forms.CharField(max_length=30, widget=UnfoldAdminTextInputWidget, help_text="Like BTC/USD.")
    interval = forms.ChoiceField(choices=[(name, name) for name in MS], initial="1m", widget=SELECT)
    capital = forms.DecimalField(
        min_value=0,
        required=False,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Quote currency; empty for all that is free in the account.",
    )
    duration_s = forms.IntegerField(
        min_value=1, required=False, widget=NUMBER, label="Duration (s)", help_text="Empty: until stopped."
    )
    settings = forms.JSONField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=f'Like {{"style": "limit", "deadline_s": 90}}: sample, seed, {", ".join(EXECUTION_KEYS)}.',
    )

    def clean_settings(self) -> dict[str, Any]:
        given = self.cleaned_data["settings"] or {}
        if not isinstance(given, dict):
            raise forms.ValidationError('Settings are an object like {"style": "limit"}.')
        return given

    class Meta:
        model = LiveSession
        fields = ("name", "model", "baseline", "council", "account", "pair", "risk")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["risk"].required = False

    def act(self, user: Any, given: dict[str, Any]) -> LiveSession:
        return services.start_session(by=user, **given)


@admin.register(LiveSession)
class SessionAdmin(ServiceAdmin):
    add_form = SessionForm
    list_display = (
        "name",
        "status",
        "risk_state",
        "pair",
        "policy",
        "account",
        "turn_at",
        "owner",
        "created_at",
    )
    list_filter = ("status", "risk_state", "pair", "account")
    search_fields = ("name", "pair")
    list_select_related = ("account", "model", "council", "owner")
    actions = ("pause", "resume", "stop", "flatten", "resume_from_halt")

    @admin.display(description="policy")
    def policy(self, session: LiveSession) -> str:
        return session.policy_name

    @confirmed("Pause", "These sessions guard their stops and decide nothing.", done="paused")
    def pause(self, request: HttpRequest, session: LiveSession) -> None:
        services.pause_session(session=session, by=request.user)

    @confirmed("Resume", "These sessions decide again.", done="resumed")
    def resume(self, request: HttpRequest, session: LiveSession) -> None:
        services.resume_session(session=session, by=request.user)

    @confirmed("Stop", "These sessions settle what is open and stop; what they hold stays.", done="stopping")
    def stop(self, request: HttpRequest, session: LiveSession) -> None:
        services.stop_session(session=session, by=request.user)

    @confirmed(
        "Flatten and stop", "These sessions sell what they hold, then stop.", done="selling, then stopping"
    )
    def flatten(self, request: HttpRequest, session: LiveSession) -> None:
        services.flatten_session(session=session, by=request.user)

    @confirmed(
        "Resume from halt", "A limit was breached. You let these sessions trade again; the reason is kept.",
        role=Role.ADMIN, done="trading again", asks={"reason": "Your reason"},
    )  # fmt: skip
    def resume_from_halt(self, request: HttpRequest, session: LiveSession) -> None:
        reason = request.POST.get("reason", "")
        services.resume_from_halt(session=session, reason=reason, by=request.user)


class AccountForm(ServiceForm):
    """Adds an account; the secret goes in here and is never shown."""

    NAMES = {"secret": "api_secret"}  # the model's own field of that name is not editable

    venue = forms.ChoiceField(choices=list(LABELS.items()), widget=SELECT)
    base_url = forms.URLField(assume_scheme="https", widget=UnfoldAdminURLInputWidget)
    candles_url = forms.URLField(assume_scheme="https", required=False, widget=UnfoldAdminURLInputWidget)
    stream_url = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget)
    key = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget)
    api_secret = forms.CharField(
        max_length=400, required=False, widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"})
    )
    calls_per_minute = forms.IntegerField(initial=28, min_value=1, widget=NUMBER)
    poll_s = forms.FloatField(initial=5, min_value=0.05, label="Seconds between prices", widget=NUMBER)
    foreign_orders = forms.ChoiceField(
        choices=ForeignOrders.choices,
        initial=ForeignOrders.ADOPT,
        required=False,
        label="Orders placed by hand",
        widget=SELECT,
    )

    class Meta:
        model = Account
        fields = ("name",)

    def act(self, user: Any, given: dict[str, Any]) -> Account:
        given["foreign_orders"] = given.get("foreign_orders") or ForeignOrders.ADOPT
        return accounts.create_account(owner=user, by=user, secret=given.pop("api_secret"), **given)


@admin.register(Account)
class AccountAdmin(ServiceAdmin):
    role = Role.ADMIN
    add_form = AccountForm
    list_display = ("name", "venue", "base_url", "masked", "is_active", "proven_equal_at", "owner")
    list_filter = ("venue", "is_active")
    search_fields = ("name",)
    exclude = ("api_key", "secret")
    actions = ("test_connection", "adopt_foreign_orders", "ignore_foreign_orders", "poll_every")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else ("masked", "base_url", "candles_url", "stream_url")

    @admin.display(description="key")
    def masked(self, account: Account) -> str:
        return accounts.masked_key(account)

    @confirmed("Test connection", "The venues are asked for time, rules and wallet with these keys.")
    def test_connection(self, request: HttpRequest, account: Account) -> str:
        result = accounts.check_account(account=account, by=person(request))
        if not result.ok:
            raise BadInput(result.sentence)
        return result.sentence

    @confirmed(
        "Adopt orders placed by hand", "What is closed by hand closes the sessions' positions, too.",
        role=Role.ADMIN, done="orders placed by hand are adopted",
    )  # fmt: skip
    def adopt_foreign_orders(self, request: HttpRequest, account: Account) -> None:
        self._treat(request, account, ForeignOrders.ADOPT)

    @confirmed(
        "Ignore orders placed by hand", "Sessions keep their own view of what they hold.",
        role=Role.ADMIN, done="orders placed by hand are ignored",
    )  # fmt: skip
    def ignore_foreign_orders(self, request: HttpRequest, account: Account) -> None:
        self._treat(request, account, ForeignOrders.IGNORE)

    @confirmed(
        "Read prices every …", "Sessions at work follow with their next price.", role=Role.ADMIN,
        asks={"poll_s": "Seconds between prices"},
    )  # fmt: skip
    def poll_every(self, request: HttpRequest, account: Account) -> str:
        given = PollForm(request.POST)
        if not given.is_valid():
            raise BadInput(errors_of(given), field="poll_s")
        accounts.poll_every(account=account, by=person(request), **given.cleaned_data)
        return f"prices are read every {account.poll_s:g} s"

    def _treat(self, request: HttpRequest, account: Account, policy: str) -> None:
        accounts.treat_foreign_orders(account=account, foreign_orders=policy, by=person(request))


@admin.register(RiskProfile)
class RiskAdmin(OwnedAdmin):
    role = Role.ADMIN
    list_display = ("name", "max_exposure", "stop_loss", "take_profit", "daily_loss", "max_drawdown", "owner")
    search_fields = ("name",)
    exclude = ("owner",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_staff and role_of(request.user) >= self.role

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_foreign = obj is not None and obj.owner_id != request.user.pk
        return self.has_add_permission(request) and (request.user.is_superuser or not is_foreign)

    def save_model(self, request: HttpRequest, obj: RiskProfile, form: Any, change: bool) -> None:
        if not change:
            obj.owner = person(request)
        super().save_model(request, obj, form, change)
        audit.record(
            request.user, "risk.change", obj, **{n: str(form.cleaned_data[n]) for n in form.changed_data}
        )


class OfSession(OwnedAdmin):
    """Books: seen, never edited."""

    owner_path = "session__owner"
    list_filter: tuple[str, ...] = ("session",)
    list_select_related: tuple[str, ...] = ("session",)


@admin.register(Decision)
class DecisionAdmin(OfSession):
    list_display = ("session", "bar_ms", "action", "confidence", "gate_reason", "risk_reason", "latency_us")
    list_filter = ("session", "action")


class CapForm(ServiceForm):
    """Sets an exposure cap."""

    class Meta:
        model = ExposureCap
        fields = ("account", "currency", "max_total", "max_per_pair", "max_open")

    def act(self, user: Any, given: dict[str, Any]) -> ExposureCap:
        owner = given["account"].owner if given["account"] else user
        return services.set_cap(owner=owner, by=user, **given)


@admin.register(ExposureCap)
class CapAdmin(ServiceAdmin):
    role = Role.ADMIN
    add_form = CapForm
    list_display = ("account", "currency", "max_total", "max_per_pair", "max_open", "owner")
    list_select_related = ("account", "owner")
    actions = ("lift",)

    @confirmed("Lift", "Sessions are limited by their own risk profiles only from now on.", role=Role.ADMIN)
    def lift(self, request: HttpRequest, cap: ExposureCap) -> None:
        services.lift_cap(cap=cap, by=request.user)


@admin.register(Order)
class OrderAdmin(OfSession):
    actions = ("approve", "reject", "end")
    list_display = ("client_ref", "session", "side", "amount", "pair", "status", "reason", "venue_order_id")
    list_filter = ("status", "side", "session")
    search_fields = ("client_ref", "venue_order_id")

    @confirmed("Approve", "The runner sends these orders, after looking at the price again.", done="approved")
    def approve(self, request: HttpRequest, order: Order) -> None:
        services.approve_order(order=order, by=request.user)

    @confirmed(
        "Reject", "These orders are dropped.", done="rejected", asks={"reason": "Why, if you want to say it"}
    )
    def reject(self, request: HttpRequest, order: Order) -> None:
        services.reject_order(order=order, reason=request.POST.get("reason", ""), by=request.user)

    @confirmed(
        "End by hand", "The venue shows these orders no more. Say what became of them; books are compared.",
        asks={"reason": "What you know", "filled": "Traded and not booked", "price": "At an average of"},
    )  # fmt: skip
    def end(self, request: HttpRequest, order: Order) -> str:
        if request.POST.get("filled") and len(request.POST.getlist("_selected_action")) > 1:
            raise BadInput("choose one order alone to say what it has traded")
        form = EndForm(request.POST)
        ended = attempt(form, services.end_order, order=order, by=request.user)
        if ended is None:
            raise BadInput(errors_of(form))
        return ended.sentence

    @admin.display(description="quantity")
    def amount(self, order: Order) -> str | None:
        return plain(order.quantity)


@admin.register(ParentOrder)
class ParentOrderAdmin(OfSession):
    list_display = ("session", "style", "side", "quantity", "status", "note", "planned_ms", "until_ms")
    list_filter = ("session", "style", "status")


@admin.register(Fill)
class FillAdmin(OfSession):
    list_display = ("session", "order", "quantity", "price", "fee", "role", "filled_ms")
    list_select_related = ("session", "order")


@admin.register(EquityPoint)
class EquityAdmin(OfSession):
    list_display = ("session", "at_ms", "equity", "cash", "held", "drawdown")


@admin.register(DailySummary)
class DayAdmin(OfSession):
    list_display = ("session", "from_ms", "pnl", "fees", "trades")


class OfAccount(OwnedAdmin):
    owner_path = "account__owner"
    list_filter: tuple[str, ...] = ("account",)
    list_select_related = ("account",)


@admin.register(Holding)
class HoldingAdmin(OfAccount):
    list_display = ("account", "coin", "quantity", "entry_price", "collateral")


@admin.register(LedgerEntry)
class LedgerAdmin(OfAccount):
    list_display = ("at", "account", "kind", "coin", "amount", "note")
    list_filter = ("account", "kind", "coin")


@admin.register(Reconciliation)
class ReconciliationAdmin(OfAccount):
    list_display = ("at", "account", "equal", "differences")
    list_filter = ("account", "equal")


@admin.register(CallBudget)
class BudgetAdmin(OfAccount):
    list_display = ("account", "version")


@admin.register(PaperState)
class PaperAdmin(OfAccount):
    list_display = ("account", "version")


from trading import alert_admin, plan_admin  # noqa: E402, F401  they register what they are about
