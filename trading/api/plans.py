"""REST: portfolio plans; POST starts one."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import TrainedModel
from market.candles import MS, interval_name
from market.web.amounts import AmountField
from market.web.bodies import Body
from market.web.idempotency import HEADER, idempotent
from market.web.numbers import plain
from market.web.ownership import ReadOnly, visible
from market.web.roles import person
from market.web.schema import example
from trading import selectors, services
from trading.api.serializers import BIGGEST, StopRequest
from trading.api.sessions import PointsQuery, part
from trading.models import Account, PlanDecision, PortfolioPlan, RiskProfile


class PartSerializer(serializers.Serializer):
    session = serializers.IntegerField()
    pair = serializers.CharField()
    status = serializers.CharField()
    weight = serializers.FloatField(help_text="Share of the plan's equity it should have")
    share = serializers.FloatField(allow_null=True, help_text="The one it has; null: not known yet")


class PlanDecisionSerializer(serializers.ModelSerializer):
    """Lists are in the order of `pairs`."""

    pairs = serializers.ListField(child=serializers.CharField())
    weights = serializers.ListField(child=serializers.FloatField(), help_text="Wanted, shares of equity")
    held = serializers.ListField(child=serializers.FloatField(), help_text="Held at the close")
    sides = serializers.ListField(
        child=serializers.IntegerField(), help_text="1 to be bought, -1 to be sold, 0 left alone"
    )
    wishes = serializers.ListField(child=serializers.FloatField(), help_text="The raw action, -1..1")
    closes = serializers.ListField(child=serializers.FloatField())
    equity = AmountField()

    class Meta:
        model = PlanDecision
        fields = ("id", "bar_ms", "decided_ms", "is_made", "reason", "pairs", "weights", "held", "sides",
                  "wishes", "value", "equity", "closes", "observation_hash", "model_hash",
                  "latency_us")  # fmt: skip


class PlanPointSerializer(serializers.Serializer):
    at_ms = serializers.IntegerField()
    equity = serializers.CharField()
    cash = serializers.CharField()
    drawdown = serializers.FloatField(help_text="0..1 below the peak")


class PlanSerializer(serializers.ModelSerializer):
    weights = serializers.DictField(child=serializers.FloatField(), read_only=True)
    interval = serializers.SerializerMethodField()
    capital = AmountField()
    equity = serializers.SerializerMethodField(allow_null=True, help_text="Of all its sessions")
    pnl = serializers.SerializerMethodField(allow_null=True, help_text="Equity less capital")
    fees = serializers.SerializerMethodField()
    sharpe = serializers.SerializerMethodField(allow_null=True, help_text="Null before six hours of it")
    max_drawdown = serializers.SerializerMethodField(allow_null=True, help_text="Over its newest bars")
    health = serializers.DictField(
        child=serializers.FloatField(allow_null=True), read_only=True,
        help_text="Of a model's plan, as of a session; null: unknown",
    )  # fmt: skip
    is_open = serializers.SerializerMethodField(help_text="Whether a session of it is driven")
    parts = serializers.SerializerMethodField()

    class Meta:
        model = PortfolioPlan
        fields = ("id", "name", "account", "risk", "model", "weights", "band", "interval", "every", "capital",
                  "equity", "pnl", "fees", "sharpe", "max_drawdown", "health", "is_open", "parts",
                  "created_at")  # fmt: skip

    def to_representation(self, plan: PortfolioPlan) -> dict[str, Any]:
        self.facts = {**selectors.plan_facts(plan), **selectors.plan_figures(plan)}
        return super().to_representation(plan)

    def get_interval(self, plan: PortfolioPlan) -> str:
        return interval_name(plan.interval_ms)

    def get_equity(self, plan: PortfolioPlan) -> str | None:
        return plain(self.facts["equity"])

    def get_pnl(self, plan: PortfolioPlan) -> str | None:
        return plain(self.facts["pnl"])

    def get_fees(self, plan: PortfolioPlan) -> str | None:
        return plain(self.facts["fees"])

    def get_sharpe(self, plan: PortfolioPlan) -> float | None:
        return self.facts["sharpe"]

    def get_max_drawdown(self, plan: PortfolioPlan) -> float | None:
        return self.facts["max_drawdown"]

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


class PlanRequest(Body):
    name = serializers.CharField(max_length=80)
    account = serializers.IntegerField(min_value=1, max_value=BIGGEST)
    weights = serializers.DictField(
        child=serializers.FloatField(), required=False, help_text="Pair: share, together at most 1"
    )
    model = serializers.IntegerField(
        required=False, min_value=1, max_value=BIGGEST, help_text="Gives the weights in place of `weights`"
    )
    pairs = serializers.ListField(
        child=serializers.CharField(max_length=30),
        required=False,
        max_length=30,
        help_text="Of the model, as the venue spells them, in its order; default: the model's names",
    )
    capital = serializers.DecimalField(20, 8, min_value=0)
    interval = serializers.ChoiceField(
        choices=list(MS), required=False, help_text="Default: 1h, or the model's"
    )
    band = serializers.FloatField(
        required=False, min_value=0, max_value=0.5, help_text="Default: 0.05; a model has its own"
    )
    every = serializers.IntegerField(
        required=False, min_value=1, max_value=10_000, help_text="Default: 1; a model has its own"
    )
    risk = serializers.IntegerField(required=False, min_value=1, max_value=BIGGEST)


class PlanViewSet(ReadOnly):
    queryset = PortfolioPlan.objects.prefetch_related("sessions")
    serializer_class = PlanSerializer
    filterset_fields = ("account", "model", "name")

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
            ),
            example(
                "A model",
                {
                    "name": "learned",
                    "account": 1,
                    "model": 1,
                    "pairs": ["BTC/USD", "ETH/USD"],
                    "capital": "1000",
                },
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Start a plan: one session per pair, all of them or none."""
        body = PlanRequest(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        given["account"] = get_object_or_404(visible(Account, request.user), pk=given["account"])
        for name, kind in (("risk", RiskProfile), ("model", TrainedModel)):
            if name in given:
                given[name] = get_object_or_404(visible(kind, request.user), pk=given[name])
        plan = services.start_plan(by=person(request), **given)
        return Response(PlanSerializer(plan).data, status=201)

    @extend_schema(request=StopRequest, responses={200: PlanSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Stop its sessions; with `flatten` they sell what they hold first."""
        body = StopRequest(data=request.data)
        body.is_valid(raise_exception=True)
        plan = self.get_object()
        services.stop_plan(plan=plan, by=person(request), **body.validated_data)
        return self._detail(plan)

    @extend_schema(request=None, responses={200: PlanSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Let its sessions guard their stops and decide nothing."""
        plan = self.get_object()
        services.pause_plan(plan=plan, by=person(request))
        return self._detail(plan)

    @extend_schema(request=None, responses={200: PlanSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Let its paused sessions decide again."""
        plan = self.get_object()
        services.resume_plan(plan=plan, by=person(request))
        return self._detail(plan)

    @part(PlanDecisionSerializer)
    @action(detail=True)
    def decisions(self, request: Request, pk: str) -> Response:
        """Return what its model wanted at every bar, and why nothing was decided, newest first."""
        page = self.paginate_queryset(self.get_object().decisions.all())
        return self.get_paginated_response(PlanDecisionSerializer(page, many=True).data)

    @extend_schema(parameters=[PointsQuery], responses={200: PlanPointSerializer(many=True)}, filters=False)
    @action(detail=True, pagination_class=None)
    def equity(self, request: Request, pk: str) -> Response:
        """Return its equity at the bars that all pairs had, oldest first, thinned to about `points`."""
        query = PointsQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        rows = selectors.equity_of_plan(self.get_object(), points=query.validated_data["points"])
        return Response(PlanPointSerializer(rows, many=True).data)

    def _detail(self, plan: PortfolioPlan) -> Response:
        return Response(PlanSerializer(self.get_queryset().get(pk=plan.pk)).data)
