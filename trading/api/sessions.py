"""REST: live sessions; POST starts one, its actions control it."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Council, TrainedModel
from market.web import sse
from market.web.idempotency import HEADER, idempotent
from market.web.ownership import ReadOnly, visible
from market.web.roles import Role, require
from market.web.schema import example
from trading import selectors, services
from trading.api.serializers import (
    DaySerializer,
    DecisionSerializer,
    EquitySerializer,
    FillSerializer,
    OrderSerializer,
    ParentSerializer,
    RiskChangeSerializer,
    SessionDetailSerializer,
    SessionRequest,
    SessionSerializer,
    StopRequest,
    UnhaltRequest,
)
from trading.models import Account, LiveSession, RiskProfile

LIMIT = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]
MOST_POINTS = 5000


class EventStreamRenderer(BaseRenderer):
    """Lets a client ask for `text/event-stream`; the view writes the stream itself."""

    media_type = "text/event-stream"
    format = "events"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        return JSONRenderer().render(data)


class PointsQuery(serializers.Serializer):
    points = serializers.IntegerField(required=False, default=1000, min_value=2, max_value=MOST_POINTS)


def part(serializer: type[serializers.Serializer]) -> Any:
    """Describe a paged list that belongs to a session."""
    return extend_schema(responses={200: serializer(many=True)}, filters=False, parameters=LIMIT)


@extend_schema_view(retrieve=extend_schema(responses={200: SessionDetailSerializer}))
class SessionViewSet(ReadOnly):
    queryset = LiveSession.objects.all()
    serializer_class = SessionSerializer
    filterset_fields = ("status", "risk_state", "account", "model", "council", "pair", "name")

    def get_queryset(self) -> QuerySet:
        if getattr(self, "swagger_fake_view", False):
            return LiveSession.objects.none()
        return selectors.sessions_of(self.request.user)

    def get_serializer_class(self) -> type[serializers.Serializer]:
        return SessionDetailSerializer if self.action == "retrieve" else SessionSerializer

    @extend_schema(
        request=SessionRequest,
        responses={201: SessionDetailSerializer},
        parameters=[HEADER],
        examples=[
            example(
                "A model",
                {"model": 1, "account": 1, "pair": "BTC/USD", "interval": "1m", "duration_s": 86400},
            ),
            example(
                "A fixed rule", {"baseline": "momentum", "account": 1, "pair": "BTC/USD", "interval": "1m"}
            ),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Start a session: it trades as soon as a runner has taken it."""
        body = SessionRequest(data=request.data)
        body.is_valid(raise_exception=True)
        session = services.start_session(by=request.user, **self._objects(body.validated_data))
        return Response(self._detail(session.pk), status=201)

    @extend_schema(request=None, responses={200: SessionDetailSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Decide nothing, but keep guarding the stops."""
        return self._act(services.pause_session)

    @extend_schema(request=None, responses={200: SessionDetailSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Decide again after a pause, or after a failure that was mended."""
        return self._act(services.resume_session)

    @extend_schema(request=StopRequest, responses={200: SessionDetailSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Settle what is open and stop; with `flatten` sell what is held first."""
        body = StopRequest(data=request.data)
        body.is_valid(raise_exception=True)
        return self._act(services.stop_session, **body.validated_data)

    @extend_schema(request=None, responses={200: SessionDetailSerializer})
    @action(detail=True, methods=["post"])
    def flatten(self, request: Request, pk: str) -> Response:
        """Sell what is held at the market's price."""
        return self._act(services.flatten_session)

    @extend_schema(request=UnhaltRequest, responses={200: SessionDetailSerializer})
    @action(detail=True, methods=["post"])
    def unhalt(self, request: Request, pk: str) -> Response:
        """Let a halted session, or one in safe mode, trade as usual again."""
        require(request.user, Role.ADMIN)
        self.get_object()
        body = UnhaltRequest(data=request.data)
        body.is_valid(raise_exception=True)
        return self._act(services.resume_from_halt, **body.validated_data)

    @part(DecisionSerializer)
    @action(detail=True)
    def decisions(self, request: Request, pk: str) -> Response:
        """Return what it thought, holds included, newest first."""
        return self._part(self.get_object().decisions.all(), DecisionSerializer)

    @part(OrderSerializer)
    @action(detail=True)
    def orders(self, request: Request, pk: str) -> Response:
        """Return its order intents and what became of them, newest first."""
        return self._part(self.get_object().orders.select_related("parent"), OrderSerializer)

    @part(ParentSerializer)
    @action(detail=True)
    def parents(self, request: Request, pk: str) -> Response:
        """Return its wishes that take several orders and why one was given up, newest first."""
        return self._part(selectors.parents_of(self.get_object()), ParentSerializer)

    @part(RiskChangeSerializer)
    @action(detail=True, url_path="risk-changes")
    def risk_changes(self, request: Request, pk: str) -> Response:
        """Return every change of its risk state with its reason, newest first."""
        return self._part(selectors.risk_changes(self.get_object()), RiskChangeSerializer)

    @part(FillSerializer)
    @action(detail=True)
    def fills(self, request: Request, pk: str) -> Response:
        """Return the money that moved, newest first."""
        return self._part(self.get_object().fills.all(), FillSerializer)

    @part(DaySerializer)
    @action(detail=True)
    def days(self, request: Request, pk: str) -> Response:
        """Return the summaries of finished days, newest first."""
        return self._part(self.get_object().days.all(), DaySerializer)

    @extend_schema(parameters=[PointsQuery], responses={200: EquitySerializer(many=True)}, filters=False)
    @action(detail=True, pagination_class=None)
    def equity(self, request: Request, pk: str) -> Response:
        """Return the equity curve, oldest first, thinned to about `points`."""
        query = PointsQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        rows = selectors.equity_series(self.get_object(), points=query.validated_data["points"])
        return Response(EquitySerializer(rows, many=True).data)

    @extend_schema(responses={(200, "text/event-stream"): OpenApiTypes.STR}, filters=False)
    @action(detail=True, pagination_class=None, renderer_classes=[EventStreamRenderer, JSONRenderer])
    def stream(self, request: Request, pk: str) -> HttpResponseBase:
        """Server-sent events: one `changed` event each time it has moved on; ends after 5 minutes."""
        session = self.get_object()
        return sse.stream(lambda: selectors.version(session.pk))

    def _act(self, service: Any, **given: Any) -> Response:
        session = self.get_object()
        service(session=session, by=self.request.user, **given)
        return Response(self._detail(session.pk))

    def _detail(self, pk: int) -> dict[str, Any]:
        return SessionDetailSerializer(self.get_queryset().get(pk=pk)).data

    def _part(self, rows: QuerySet, serializer: type[serializers.Serializer]) -> Response:
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(serializer(page, many=True).data)

    def _objects(self, given: dict[str, Any]) -> dict[str, Any]:
        """Replace ids by the caller's own rows."""
        kinds = {"model": TrainedModel, "council": Council, "account": Account, "risk": RiskProfile}
        for name, model in kinds.items():
            if given.get(name) is not None:
                given[name] = get_object_or_404(visible(model, self.request.user), pk=given[name])
        return given
