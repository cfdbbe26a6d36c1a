"""REST: alerts, the channels they take, the rules that choose, and what became of every message."""

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from market.errors import BadInput
from market.web.bodies import Body, Change, Strict
from market.web.idempotency import HEADER, idempotent
from market.web.ownership import ReadOnly, visible
from market.web.roles import person
from market.web.schema import example
from trading.models import Alert, AlertChannel, AlertKind, AlertLevel, AlertRule, ChannelKind, Delivery
from trading.services import channels


class AlertSerializer(serializers.ModelSerializer):
    class Meta:
        model = Alert
        fields = ("id", "session", "kind", "level", "key", "text", "url", "count", "first_at", "last_at",
                  "acknowledged_at", "closed_at")  # fmt: skip


class AlertViewSet(ReadOnly):
    queryset = Alert.objects.all()
    serializer_class = AlertSerializer
    filterset_fields = {
        "kind": ["exact"],
        "level": ["exact"],
        "session": ["exact"],
        "closed_at": ["isnull"],
        "acknowledged_at": ["isnull"],
    }

    @extend_schema(request=None, responses={200: AlertSerializer})
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Say that a person has seen it: nothing more is sent about it until it becomes louder."""
        return self._act(channels.acknowledge)

    @extend_schema(request=None, responses={200: AlertSerializer})
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """Mark it as over; it opens again if its reason comes back."""
        return self._act(channels.close)

    def _act(self, act: Any) -> Response:
        alert = self.get_object()
        act(alert=alert, by=person(self.request))
        alert.refresh_from_db()
        return Response(AlertSerializer(alert).data)


class ChannelSerializer(serializers.ModelSerializer):
    address = serializers.CharField(source="shown", help_text="Without what is secret about it")

    class Meta:
        model = AlertChannel
        fields = ("id", "name", "kind", "address", "is_active", "last_ok_at", "last_error", "created_at")


class ChannelChange(Change):
    reader, moving = ChannelSerializer, ("last_ok_at", "last_error")
    address = serializers.CharField(required=False, max_length=500, write_only=True)
    secret = serializers.CharField(required=False, max_length=500, write_only=True)
    is_active = serializers.BooleanField(required=False)


class ChannelRequest(Body):
    name = serializers.CharField(max_length=80)
    kind = serializers.ChoiceField(choices=ChannelKind.choices)
    address = serializers.CharField(max_length=500, write_only=True)
    secret = serializers.CharField(required=False, allow_blank=True, max_length=500, write_only=True)


class DeliverySerializer(serializers.ModelSerializer):
    class Meta:
        model = Delivery
        fields = ("id", "alert", "channel", "key", "kind", "level", "status", "attempts", "next_at",
                  "created_at", "sent_at", "answer")  # fmt: skip


class DeliveryViewSet(ReadOnly):
    queryset = Delivery.objects.all()
    serializer_class = DeliverySerializer
    filterset_fields = ("alert", "channel", "status", "kind")


class ChannelViewSet(ReadOnly):
    queryset = AlertChannel.objects.all()
    serializer_class = ChannelSerializer
    filterset_fields = ("kind", "name", "is_active")

    @extend_schema(
        request=ChannelRequest,
        responses={201: ChannelSerializer},
        parameters=[HEADER],
        examples=[
            example("E-mail", {"name": "mail", "kind": "email", "address": "ada@example.com"}),
            example(
                "Telegram",
                {
                    "name": "phone",
                    "kind": "telegram",
                    "address": "-100123",
                    "secret": "123456:its token",
                },
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Add a way to reach you. Address and secret are stored encrypted and never returned whole."""
        body = ChannelRequest(data=request.data)
        body.is_valid(raise_exception=True)
        channel = channels.create_channel(owner=person(request), by=person(request), **body.validated_data)
        return Response(ChannelSerializer(channel).data, status=201)

    @extend_schema(request=ChannelChange, responses={200: ChannelSerializer})
    @transaction.atomic
    def partial_update(self, request: Request, pk: str) -> Response:
        """Give it another address or secret, or switch it on or off."""
        channel = self.get_object()
        body = ChannelChange(channel, data=request.data)
        body.is_valid(raise_exception=True)
        channel = channels.change_channel(channel=channel, by=person(request), **body.validated_data)
        return Response(ChannelSerializer(channel).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Forget it, its rules and its deliveries."""
        channels.delete_channel(channel=self.get_object(), by=person(request))
        return Response(status=204)

    @extend_schema(request=None, responses={200: DeliverySerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Send a test message now; `status` and `answer` say what came of it. At most five a minute."""
        delivery = channels.check_channel(channel=self.get_object(), by=person(request))
        return Response(DeliverySerializer(delivery).data)


class RuleSerializer(Strict, serializers.ModelSerializer):
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=AlertKind.choices),
        required=False,
        help_text="Empty means every kind",
    )
    min_level = serializers.ChoiceField(choices=AlertLevel.choices, required=False)

    class Meta:
        model = AlertRule
        fields = ("id", "channel", "kinds", "min_level", "quiet_from", "quiet_to", "again_s", "is_active")


class RuleViewSet(ReadOnly):
    queryset = AlertRule.objects.select_related("owner", "channel")
    serializer_class = RuleSerializer
    filterset_fields = ("channel", "is_active")

    @extend_schema(
        request=RuleSerializer,
        responses={201: RuleSerializer},
        parameters=[HEADER],
        examples=[example("Fills", {"channel": 1, "kinds": ["fill", "stop_hit"], "min_level": "info"})],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a rule: alerts of these kinds, from this level on, go to this channel."""
        return Response(RuleSerializer(self._save(request, None)).data, status=201)

    @extend_schema(request=RuleSerializer, responses={200: RuleSerializer})
    @transaction.atomic
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a rule."""
        return Response(RuleSerializer(self._save(request, self.get_object())).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Forget a rule."""
        channels.delete_rule(rule=self.get_object(), by=person(request))
        return Response(status=204)

    def _save(self, request: Request, rule: AlertRule | None) -> AlertRule:
        body = RuleSerializer(rule, data=request.data, partial=rule is not None)
        body.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(body.validated_data)
        if rule is not None:
            kept = {name: getattr(rule, name) for name in RULE_FIELDS}
            given = {**kept, **given}
        channel = given.pop("channel")
        if not visible(AlertChannel, person(request)).filter(pk=channel.pk).exists():
            raise BadInput(f"you have no channel {channel.pk}", field="channel")
        owner = rule.owner if rule is not None else person(request)
        given.setdefault("kinds", [])
        return channels.save_rule(owner=owner, channel=channel, rule=rule, by=person(request), **given)


RULE_FIELDS = ("channel", "kinds", "min_level", "quiet_from", "quiet_to", "again_s", "is_active")
