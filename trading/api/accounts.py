"""REST: accounts (the secret goes in and never comes out), risk profiles."""

from typing import Any

from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from market.errors import BadInput
from market.web import audit
from market.web.amounts import AmountField
from market.web.bodies import Body, Change, Strict
from market.web.idempotency import HEADER, idempotent
from market.web.ownership import ReadOnly
from market.web.roles import Role, person
from market.web.schema import example
from trading import accounts
from trading.exchanges.registry import LABELS
from trading.models import Account, ForeignOrders, Holding, RiskProfile
from trading.models.risk import out_of_range


class HoldingSerializer(serializers.ModelSerializer):
    coin = serializers.CharField(help_text='"BTC/USD short" is the quantity of the one short of that pair')
    quantity = AmountField()
    entry_price = AmountField(help_text="Of a short; else 0")
    collateral = AmountField(help_text="Of a short, quote currency: part of that coin already; else 0")

    class Meta:
        model = Holding
        fields = ("coin", "quantity", "entry_price", "collateral")


class AccountSerializer(serializers.ModelSerializer):
    key = serializers.SerializerMethodField(help_text="The API key, masked")
    holdings = HoldingSerializer(many=True, read_only=True, help_text="What our books say the account holds")

    class Meta:
        model = Account
        fields = ("id", "name", "venue", "base_url", "candles_url", "stream_url",
                  "stream_state", "stream_at", "key",
                  "calls_per_minute", "poll_s", "foreign_orders", "is_active", "opened_at",
                  "proven_equal_at", "last_error", "holdings", "created_at")  # fmt: skip

    def get_key(self, account: Account) -> str:
        return accounts.masked_key(account)


class AccountRequest(Body):
    name = serializers.CharField(max_length=80)
    venue = serializers.ChoiceField(choices=list(LABELS.items()))
    base_url = serializers.URLField(max_length=200)
    candles_url = serializers.URLField(max_length=200, required=False, allow_blank=True)
    stream_url = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        help_text="ws:// or wss://; empty: prices are polled",
    )
    key = serializers.CharField(max_length=200, required=False, allow_blank=True, write_only=True)
    secret = serializers.CharField(max_length=400, required=False, allow_blank=True, write_only=True)
    calls_per_minute = serializers.IntegerField(required=False, min_value=1, max_value=100_000)
    poll_s = serializers.FloatField(required=False, min_value=0.05, max_value=3600)
    foreign_orders = serializers.ChoiceField(
        required=False, choices=ForeignOrders.choices, help_text="What sessions make of orders placed by hand"
    )


class AccountChange(Change):
    reader = AccountSerializer
    moving = ("stream_state", "stream_at", "opened_at", "proven_equal_at", "last_error", "holdings")
    poll_s = serializers.FloatField(
        required=False, min_value=0.05, max_value=3600, help_text="Seconds between prices"
    )


class CheckSerializer(serializers.Serializer):
    ok = serializers.BooleanField()
    sentence = serializers.CharField()
    clock_offset_ms = serializers.IntegerField(allow_null=True)


class ForeignOrdersRequest(Body):
    foreign_orders = serializers.ChoiceField(choices=ForeignOrders.choices)


class AccountViewSet(ReadOnly):
    role = Role.ADMIN
    roles = {"check": Role.OPERATOR}  # as on the account's page
    queryset = Account.objects.prefetch_related("holdings")
    serializer_class = AccountSerializer
    filterset_fields = ("venue", "name", "is_active")

    @extend_schema(
        request=AccountRequest,
        responses={201: AccountSerializer},
        parameters=[HEADER],
        examples=[
            example(
                "Roostoo",
                {
                    "name": "contest",
                    "venue": "roostoo",
                    "base_url": "https://mock-api.roostoo.com",
                    "candles_url": "https://api.binance.com",
                    "key": "your key",
                    "secret": "your secret",
                },
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Add an account. The secret is stored encrypted and never returned."""
        body = AccountRequest(data=request.data)
        body.is_valid(raise_exception=True)
        account = accounts.create_account(owner=person(request), by=person(request), **body.validated_data)
        return Response(AccountSerializer(account).data, status=201)

    @extend_schema(request=AccountChange, responses={200: AccountSerializer})
    @transaction.atomic
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change how often prices are read; sessions at work follow with their next price."""
        account = self.get_object()
        body = AccountChange(account, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        if body.validated_data:
            accounts.poll_every(account=account, by=person(request), **body.validated_data)
        return Response(AccountSerializer(account).data)

    @extend_schema(request=None, responses={200: CheckSerializer})
    @action(detail=True, methods=["post"])
    def check(self, request: Request, pk: str) -> Response:
        """Test the connection."""
        result = accounts.check_account(account=self.get_object(), by=person(request))
        return Response(CheckSerializer(result).data)

    @extend_schema(request=ForeignOrdersRequest, responses={200: AccountSerializer})
    @action(detail=True, methods=["post"], url_path="foreign-orders")
    def foreign_orders(self, request: Request, pk: str) -> Response:
        """Say what sessions make of orders placed by hand."""
        body = ForeignOrdersRequest(data=request.data)
        body.is_valid(raise_exception=True)
        account = accounts.treat_foreign_orders(
            account=self.get_object(), by=person(request), **body.validated_data
        )
        return Response(AccountSerializer(account).data)


class RiskSerializer(Strict, serializers.ModelSerializer):
    is_shared = serializers.SerializerMethodField()

    class Meta:
        model = RiskProfile
        exclude = ("owner",)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        known = vars(self.instance) if self.instance is not None else vars(RiskProfile())
        if wrong := out_of_range({**known, **given}):
            raise serializers.ValidationError(wrong)
        return given

    def get_is_shared(self, profile: RiskProfile) -> bool:
        return profile.owner_id is None


class RiskViewSet(mixins.CreateModelMixin, mixins.UpdateModelMixin, ReadOnly):
    role = Role.ADMIN
    queryset = RiskProfile.objects.all()
    serializer_class = RiskSerializer
    filterset_fields = ("name",)
    http_method_names = ["get", "post", "patch", "head", "options"]

    @transaction.atomic
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change some limits; what is left out stays. Running sessions follow from their next turn on."""
        return super().partial_update(request, *args, **kwargs)

    def perform_create(self, serializer: Any) -> None:
        self._save(serializer, owner=self.request.user)

    def perform_update(self, serializer: Any) -> None:
        if serializer.instance.owner_id is None and not self.request.user.is_superuser:
            raise BadInput("This profile is shared by everybody; make one of your own.")
        self._save(serializer)

    def _save(self, serializer: Any, **given: Any) -> None:
        try:
            with transaction.atomic():
                profile = serializer.save(**given)
                audit.record(self.request.user, "risk.change", profile, **serializer.validated_data)
        except IntegrityError:
            raise BadInput(
                "A limit is out of its range, or you have a profile of that name already."
            ) from None
