"""REST: exposure caps, and orders that wait for a person or that only a person can end."""

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from market.web.amounts import AmountField
from market.web.bodies import Body, Change
from market.web.numbers import plain
from market.web.ownership import ReadOnly, visible
from market.web.roles import Role, person
from trading import selectors, services
from trading.api.serializers import OrderSerializer
from trading.models import Account, ExposureCap, LiveSession, Order


class CapSerializer(serializers.ModelSerializer):
    """Amounts in `currency`; 0 is no limit; `account` null covers all accounts of the owner."""

    account = serializers.PrimaryKeyRelatedField(
        queryset=Account.objects.none(), required=False, allow_null=True, default=None
    )
    max_total = AmountField()
    max_per_pair = AmountField()
    used_total = serializers.SerializerMethodField(
        help_text="Value of all positions under it, at last prices"
    )
    used_open = serializers.SerializerMethodField(help_text="Open positions under it")

    class Meta:
        model = ExposureCap
        fields = ("id", "account", "currency", "max_total", "max_per_pair", "max_open", "used_total",
                  "used_open")  # fmt: skip

    def to_representation(self, cap: ExposureCap) -> dict[str, Any]:
        self.facts = selectors.cap_facts(cap)
        return super().to_representation(cap)

    def get_used_total(self, cap: ExposureCap) -> str:
        return plain(self.facts["total"]) or "0"

    def get_used_open(self, cap: ExposureCap) -> int:
        return self.facts["count"]


CAP_FIELDS = ("account", "currency", "max_total", "max_per_pair", "max_open")


class CapRequest(Change):
    reader, moving = CapSerializer, ("used_total", "used_open")
    account = serializers.PrimaryKeyRelatedField(
        queryset=Account.objects.none(), required=False, allow_null=True
    )
    currency = serializers.CharField(max_length=20, default="USD")
    max_total = serializers.DecimalField(20, 8, default=Decimal(0), min_value=0)
    max_per_pair = serializers.DecimalField(20, 8, default=Decimal(0), min_value=0)
    max_open = serializers.IntegerField(default=0, min_value=0, max_value=1_000_000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "request" in self.context:
            mine = visible(Account, self.context["request"].user)
            self.fields["account"].queryset = mine  # type: ignore[attr-defined]


class CapViewSet(mixins.DestroyModelMixin, ReadOnly):
    role = Role.ADMIN
    queryset = ExposureCap.objects.select_related("account")
    serializer_class = CapSerializer
    filterset_fields = ("account", "currency")

    @extend_schema(request=CapRequest, responses={201: CapSerializer})
    def create(self, request: Request) -> Response:
        """Set a cap over the sessions of one account, or of all of yours."""
        body = CapRequest(data=request.data, context={"request": request})
        body.is_valid(raise_exception=True)
        account = body.validated_data.get("account")
        owner = account.owner if account else person(request)
        cap = services.set_cap(owner=owner, by=person(request), **body.validated_data)
        return Response(CapSerializer(cap).data, status=201)

    @extend_schema(request=CapRequest, responses={200: CapSerializer})
    @transaction.atomic
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change one; what is left out stays. Running sessions follow it from their next order on."""
        cap = self.get_object()
        body = CapRequest(cap, data=request.data, context={"request": request}, partial=True)
        body.is_valid(raise_exception=True)
        given = {name: getattr(cap, name) for name in CAP_FIELDS} | body.validated_data
        cap = services.set_cap(owner=cap.owner, by=person(request), cap=cap, **given)
        return Response(CapSerializer(cap).data)

    def perform_destroy(self, instance: ExposureCap) -> None:
        services.lift_cap(cap=instance, by=person(self.request))


class RejectRequest(Body):
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


class WaitingSerializer(OrderSerializer):
    class Meta(OrderSerializer.Meta):
        fields = ("session", "expires_at", *OrderSerializer.Meta.fields)  # type: ignore[assignment]


class ApprovalViewSet(ReadOnly):
    queryset = Order.objects.all()
    serializer_class = WaitingSerializer
    filterset_fields = ("session", "status")

    def get_queryset(self) -> QuerySet:
        if getattr(self, "swagger_fake_view", False):
            return Order.objects.none()
        if self.action == "list":
            return selectors.waiting_orders(self.request.user)
        mine = visible(LiveSession, self.request.user)
        return Order.objects.filter(session__in=mine, expires_at__isnull=False).select_related(
            "session__owner"
        )

    @extend_schema(request=None, responses={200: WaitingSerializer})
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Let the order be sent; the runner looks at the price again first."""
        order = services.approve_order(order=self.get_object(), by=person(request))
        return Response(WaitingSerializer(order).data)

    @extend_schema(request=RejectRequest, responses={200: WaitingSerializer})
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Drop the order."""
        body = RejectRequest(data=request.data)
        body.is_valid(raise_exception=True)
        order = services.reject_order(order=self.get_object(), by=person(request), **body.validated_data)
        return Response(WaitingSerializer(order).data)


class EndRequest(Body):
    reason = serializers.CharField(max_length=200)
    filled = serializers.DecimalField(
        28, 12, required=False, help_text="Base units that it has traded and that are not booked yet"
    )
    price = serializers.DecimalField(28, 12, required=False, help_text="The average they have traded at")


class StuckSerializer(OrderSerializer):
    class Meta(OrderSerializer.Meta):
        fields = ("session", *OrderSerializer.Meta.fields)  # type: ignore[assignment]


class EndedSerializer(serializers.Serializer):
    order = StuckSerializer()
    books = serializers.CharField(source="sentence", help_text="How the account's books compare since")


class StuckViewSet(ReadOnly):
    queryset = Order.objects.all()
    serializer_class = StuckSerializer
    filterset_fields = ("session", "status")

    def get_queryset(self) -> QuerySet:
        if getattr(self, "swagger_fake_view", False):
            return Order.objects.none()
        if self.action == "list":
            return selectors.stuck_orders(self.request.user)
        mine = Order.objects.filter(session__in=visible(LiveSession, self.request.user))
        return mine.select_related("session__owner", "account")

    @extend_schema(request=EndRequest, responses={200: EndedSerializer})
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """End the order as a person knows it went, then compare the account's books."""
        order = self.get_object()
        body = EndRequest(data=request.data)
        body.is_valid(raise_exception=True)
        ended = services.end_order(order=order, by=person(request), **body.validated_data)
        return Response(EndedSerializer(ended).data)
