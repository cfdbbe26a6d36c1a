"""REST: is it alive, and its numbers for Prometheus."""

import time
from typing import Any

from django.db import DatabaseError, connection
from django.db.models import Count
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from rest_framework import serializers
from rest_framework.permissions import AllowAny, IsAdminUser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.models import TrainingRun
from market import leases
from market.models import Lease
from trading.models import Alert, Delivery, DeliveryStatus, LiveSession, Order

SILENT_S = 60.0


class HealthSerializer(serializers.Serializer):
    status = serializers.CharField(help_text="ok or failing")
    database = serializers.CharField(help_text="ok or failing")
    details = serializers.DictField(required=False, help_text="For staff only")


class HealthView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(auth=[], responses={200: HealthSerializer, 503: HealthSerializer})
    def get(self, request: Request) -> Response:
        """Say whether the web process and its database work; staff also see sessions, jobs and leases."""
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            database = "ok"
        except DatabaseError:
            database = "failing"
        body: dict[str, Any] = {"status": database, "database": database}
        if database == "ok" and request.user.is_staff:
            body["details"] = details()
        return Response(body, status=200 if database == "ok" else 503)


def details() -> dict[str, Any]:
    """Return counts of what is at work and of what is silent."""
    now = timezone.now()
    driven = list(LiveSession.objects.driven().values_list("id", "turn_at", "created_at"))
    ages = {pk: (now - (turn or made)).total_seconds() for pk, turn, made in driven}
    return {
        "sessions_driven": len(driven),
        "sessions_silent": sorted(pk for pk, age in ages.items() if age > SILENT_S),
        "oldest_turn_s": round(max(ages.values(), default=0.0), 1),
        "orders_unsettled": Order.objects.unsettled().count(),
        "training_unfinished": TrainingRun.objects.unfinished().count(),
        "leases_held": Lease.objects.filter(until_ms__gte=time.time_ns() // 1_000_000).count(),
        "watchdog": "ok" if leases.is_held("watchdog") else "absent",
        "deliveries_waiting": Delivery.objects.filter(status=DeliveryStatus.WAITING).count(),
        "alerts_open": Alert.objects.filter(closed_at=None).count(),
    }


class TextRenderer(BaseRenderer):
    media_type = "text/plain"
    format = "txt"

    def render(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        return JSONRenderer().render(data)


class MetricsView(APIView):
    """Numbers for Prometheus; staff only."""

    permission_classes = [IsAdminUser]
    renderer_classes = [TextRenderer, JSONRenderer]

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        """Return the numbers in Prometheus' text format."""
        return HttpResponse(exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def exposition() -> bytes:
    """Return all metrics, read from the database now."""
    registry = CollectorRegistry()
    counts = {
        "tradebot_sessions": ("Sessions by status", LiveSession.objects.values_list("status")),
        "tradebot_orders": ("Orders by status", Order.objects.values_list("status")),
        "tradebot_training_runs": ("Training runs by status", TrainingRun.objects.values_list("status")),
        "tradebot_alerts_open": (
            "Open alerts by level",
            Alert.objects.filter(closed_at=None).values_list("level"),
        ),
    }
    for name, (text, rows) in counts.items():
        gauge = Gauge(name, text, ["state"], registry=registry)
        for state, count in rows.order_by().annotate(n=Count("pk")):
            gauge.labels(state).set(count)
    age = Gauge(
        "tradebot_oldest_turn_seconds", "Age of the oldest heartbeat of a driven session", registry=registry
    )
    facts = details()
    age.set(facts["oldest_turn_s"])
    watchdog = Gauge("tradebot_watchdog_up", "1 while a watchdog watches", registry=registry)
    watchdog.set(facts["watchdog"] == "ok")
    waiting = Gauge("tradebot_deliveries_waiting", "Alert messages not delivered yet", registry=registry)
    waiting.set(facts["deliveries_waiting"])
    Gauge("tradebot_leases_held", "Leases held now", registry=registry).set(facts["leases_held"])
    return generate_latest(registry)
