"""Admin of alerts, channels, rules and deliveries."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminTimeWidget,
)

from market.web.admin import OwnedAdmin, ServiceAdmin, ServiceForm, confirmed
from trading.models import (
    Alert,
    AlertChannel,
    AlertKind,
    AlertLevel,
    AlertRule,
    ChannelKind,
    Delivery,
    DeliveryStatus,
)
from trading.services import channels

SELECT = UnfoldAdminSelectWidget
SECRET = UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"})


@admin.register(Alert)
class AlertAdmin(OwnedAdmin):
    list_display = (
        "level",
        "kind",
        "text",
        "session",
        "count",
        "last_at",
        "acknowledged_at",
        "closed_at",
        "owner",
    )
    list_filter = ("level", "kind", "closed_at")
    list_select_related = ("session", "owner")
    actions = ("acknowledge", "close")

    @confirmed("Acknowledge", "Nothing more is sent about these unless they become louder.", done="seen")
    def acknowledge(self, request: HttpRequest, alert: Alert) -> None:
        channels.acknowledge(alert=alert, by=request.user)

    @confirmed("Close", "These alerts are closed; they open again if their reason comes back.", done="closed")
    def close(self, request: HttpRequest, alert: Alert) -> None:
        channels.close(alert=alert, by=request.user)


class ChannelForm(ServiceForm):
    """Adds a channel; address and secret go in here and are never shown."""

    kind = forms.ChoiceField(choices=ChannelKind.choices, widget=SELECT)
    address = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        help_text="E-mail addresses, a Telegram chat's number, or the webhook's https address.",
    )
    secret = forms.CharField(
        max_length=500, required=False, widget=SECRET, help_text="Bot token or signing key."
    )

    class Meta:
        model = AlertChannel
        fields = ("name",)

    def act(self, user: Any, given: dict[str, Any]) -> AlertChannel:
        return channels.create_channel(owner=user, by=user, **given)


@admin.register(AlertChannel)
class ChannelAdmin(ServiceAdmin):
    add_form = ChannelForm
    list_display = ("name", "kind", "shown", "is_active", "last_ok_at", "last_error", "owner")
    list_filter = ("kind", "is_active")
    search_fields = ("name",)
    exclude = ("sealed",)
    actions = ("test", "switch", "forget")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else ("shown", "last_ok_at", "last_error")

    @confirmed("Send a test", "A test message goes out through these channels now.")
    def test(self, request: HttpRequest, channel: AlertChannel) -> str:
        delivery = channels.check_channel(channel=channel, by=request.user)
        if delivery.status != DeliveryStatus.SENT:
            raise channels.Conflict(f"the test did not arrive: {delivery.answer}")
        return f"sent: {delivery.answer}"

    @confirmed("Switch on or off", "Channels that are on go off, those that are off go on.")
    def switch(self, request: HttpRequest, channel: AlertChannel) -> str:
        channels.change_channel(channel=channel, is_active=not channel.is_active, by=request.user)
        return "on" if channel.is_active else "off"

    @confirmed("Delete", "These channels go, with their rules and their delivery log.", done="gone")
    def forget(self, request: HttpRequest, channel: AlertChannel) -> None:
        channels.delete_channel(channel=channel, by=request.user)


class RuleForm(ServiceForm):
    """Makes a rule for a channel; it belongs to whom the channel belongs to."""

    min_level = forms.ChoiceField(choices=AlertLevel.choices, initial=AlertLevel.WARNING, widget=SELECT)
    kinds = forms.MultipleChoiceField(
        choices=AlertKind.choices,
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text="None: every kind.",
    )
    again_s = forms.IntegerField(min_value=0, initial=3600, widget=UnfoldAdminIntegerFieldWidget)
    quiet_from = forms.TimeField(required=False, widget=UnfoldAdminTimeWidget, help_text="UTC")
    quiet_to = forms.TimeField(required=False, widget=UnfoldAdminTimeWidget, help_text="UTC")

    class Meta:
        model = AlertRule
        fields = ("channel",)

    def act(self, user: Any, given: dict[str, Any]) -> AlertRule:
        return channels.save_rule(owner=given["channel"].owner, by=user, **given)


@admin.register(AlertRule)
class RuleAdmin(ServiceAdmin):
    add_form = RuleForm
    list_display = (
        "channel",
        "kinds",
        "min_level",
        "again_s",
        "quiet_from",
        "quiet_to",
        "is_active",
        "owner",
    )
    list_filter = ("min_level", "is_active")
    list_select_related = ("channel", "owner")
    actions = ("forget",)

    @confirmed("Delete", "These rules go.", done="gone")
    def forget(self, request: HttpRequest, rule: AlertRule) -> None:
        channels.delete_rule(rule=rule, by=request.user)


@admin.register(Delivery)
class DeliveryAdmin(OwnedAdmin):
    list_display = ("created_at", "channel", "kind", "status", "attempts", "next_at", "sent_at", "answer")
    list_filter = ("status", "kind", "channel")
    list_select_related = ("channel",)
    exclude = ("claim",)
