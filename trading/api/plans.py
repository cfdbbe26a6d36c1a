"""REST: portfolio plans; POST starts one."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from market.candles import MS, interval_name
from market.web.amounts import AmountField
from market.web.idempotency import HEADER, idempotent
from market.web.numbers import plain
from market.web.ownership import ReadOnly, visible
from market.web.roles import person
from market.web.schema import example
from trading import selectors, services
from trading.api.serializers import BIGGEST, StopRequest
from trading.models import Account, PortfolioPlan, RiskProfile


class PartSerializer(serializers.Serializer):
    session = serializers.IntegerField()
    pair = serializers.CharField()
    status = serializers.CharField()
    weight = serializers.FloatField(help_text="Share of the plan's equity it should have")
    share = serializers.FloatField(allow_null=True, help_text="The one it has; null: not known yet")


class PlanSerializer(serializers.ModelSerializer):
    weights = serializers.DictField(child=serializers.FloatField(), read_only=True)
    interval = serializers.SerializerMethodField()
    capital = AmountField()
    equity = serializers.SerializerMethodField(allow_null=True, help_text="Of all its sessions")
    is_open = serializers.SerializerMethodField(help_text="Whether a session of it is driven")
    parts = serializers.SerializerMethodField()

    class Meta:
        model = PortfolioPlan
        fields = ("id", "name", "account", "risk", "weights", "band", "interval", "every", "capital",
                  "equity", "is_open", "parts", "created_at")  # fmt: skip

    def to_representation(self, plan: PortfolioPlan) -> dict[str, Any]:
        self.facts = selectors.plan_facts(plan)
        return super().to_representation(plan)

    def get_interval(self, plan: PortfolioPlan) -> str:
        return interval_name(plan.interval_ms)

    def get_equity(self, plan: PortfolioPlan) -> str | None:
        return plain(self.facts["equity"])

    def get_is_open(self, plan: PortfolioPlan) -> bool:
        return self.facts["is_open"]

    @extend_schema(responses=PartSerializer(many=True))
    def get_parts(self, plan: PortfolioPlan) -> list[dict[str, Any]]:
        return [
            {
                "session": part["session"].pk,
                "pair": part["session"].pair,
                "status": part["session"].status,
                "weight": part["wanted"],
                "share": part["share"],
            }
            for part in self.facts["parts"]
        ]


class PlanRequest(serializers.Serializer):
    name = serializers.CharField(max_length=80)
    account = serializers.IntegerField(min_value=1, max_value=BIGGEST)
    weights = serializers.DictField(
        child=serializers.FloatField(), help_text="Pair: share, together at most 1"
    )
    capital = serializers.DecimalField(20, 8, min_value=0)
    interval = serializers.ChoiceField(choices=list(MS), default="1h")
    band = serializers.FloatField(default=0.05, min_value=0, max_value=0.5)
    every = serializers.IntegerField(default=1, min_value=1, max_value=10_000)
    risk = serializers.IntegerField(required=False, min_value=1, max_value=BIGGEST)


class PlanViewSet(ReadOnly):
    queryset = PortfolioPlan.objects.prefetch_related("sessions")
    serializer_class = PlanSerializer
    filterset_fields = ("account", "name")

    @extend_schema(
        request=PlanRequest,
        responses={201: PlanSerializer},
        parameters=[HEADER],
        examples=[
            example(
                "Half and half",
                {
                    "name": "core",
                    "account": 1,
                    "weights": {"BTC/USD": 0.5, "ETH/USD": 0.5},
                    "capital": "1000",
                },
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Start a plan: one session per pair, all of them or none."""
        body = PlanRequest(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        given["account"] = get_object_or_404(visible(Account, request.user), pk=given["account"])
        if "risk" in given:
            given["risk"] = get_object_or_404(visible(RiskProfile, request.user), pk=given["risk"])
        plan = services.start_plan(owner=person(request), by=person(request), **given)
        return Response(PlanSerializer(plan).data, status=201)

    @extend_schema(request=StopRequest, responses={200: PlanSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Stop its sessions; with `flatten` they sell what they hold first."""
        body = StopRequest(data=request.data)
        body.is_valid(raise_exception=True)
        plan = self.get_object()
        services.stop_plan(plan=plan, by=person(request), **body.validated_data)
        return Response(PlanSerializer(self.get_queryset().get(pk=plan.pk)).data)
