"""REST about data: series, candles, ticks, pairs, imports; and the audit trail."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, parsers, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from market import ranking, selectors, services, tick_archive
from market.candles import MS
from market.models import AuditEvent, ImportReport, Series, Tick
from market.web.amounts import AmountField
from market.web.bodies import Body
from market.web.idempotency import HEADER, idempotent
from market.web.ownership import ReadOnly, visible
from market.web.pagination import NewestFirst
from market.web.roles import HasRole

MAX_POINTS = 5000
BIGGEST_MS = 2**53  # what every JSON reader can hold


class SeriesSerializer(serializers.ModelSerializer):
    interval = serializers.CharField(read_only=True)
    missing = serializers.IntegerField(read_only=True, help_text="Bars absent between the first and the last")
    gap_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Series
        fields = ("id", "source", "pair", "interval", "rows", "first_ms", "last_ms", "missing", "gap_count",
                  "fingerprint", "updated_at")  # fmt: skip


class SeriesFilter(filters.FilterSet):
    interval = filters.ChoiceFilter(choices=[(name, name) for name in MS], method="of_interval")

    class Meta:
        model = Series
        fields = ("pair", "source")

    def of_interval(self, rows: QuerySet, name: str, value: str) -> QuerySet:
        return rows.filter(interval_ms=MS[value])


class CoverageSerializer(SeriesSerializer):
    coverage = serializers.SerializerMethodField(help_text="Months and gaps")

    class Meta(SeriesSerializer.Meta):
        fields = (*SeriesSerializer.Meta.fields, "coverage")  # type: ignore[assignment]

    @extend_schema_field(serializers.DictField())
    def get_coverage(self, series: Series) -> dict[str, Any]:
        return selectors.coverage(series)


class SeriesViewSet(ReadOnly):
    queryset = Series.objects.all()
    filterset_class = SeriesFilter

    def get_queryset(self) -> QuerySet:
        if getattr(self, "swagger_fake_view", False):
            return Series.objects.none()
        return selectors.series_list(self.request.user)

    def get_serializer_class(self) -> type[serializers.Serializer]:
        return CoverageSerializer if self.action == "retrieve" else SeriesSerializer


class CandleQuery(serializers.Serializer):
    series = serializers.IntegerField(min_value=1, max_value=BIGGEST_MS)
    to = serializers.IntegerField(
        required=False, min_value=0, max_value=BIGGEST_MS, help_text="Epoch ms, excluded"
    )
    points = serializers.IntegerField(required=False, default=500, min_value=2, max_value=MAX_POINTS)

    def get_fields(self) -> dict[str, serializers.Field]:
        return {
            **super().get_fields(),
            "from": serializers.IntegerField(
                required=False, min_value=0, max_value=BIGGEST_MS, help_text="Epoch ms, included"
            ),
        }


class CandlesSerializer(serializers.Serializer):
    """Columns of equal length; thinned bars keep first open, highest high, lowest low, last close."""

    interval_ms = serializers.IntegerField()
    t_ms = serializers.ListField(child=serializers.IntegerField())
    open = serializers.ListField(child=serializers.FloatField())
    high = serializers.ListField(child=serializers.FloatField())
    low = serializers.ListField(child=serializers.FloatField())
    close = serializers.ListField(child=serializers.FloatField())
    volume = serializers.ListField(child=serializers.FloatField())


class CandleViewSet(viewsets.ViewSet):
    permission_classes = [HasRole]

    @extend_schema(parameters=[CandleQuery], responses={200: CandlesSerializer})
    def list(self, request: Request) -> Response:
        """Return the candles of a series, thinned to about `points`."""
        query = CandleQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        series = get_object_or_404(visible(Series, request.user), pk=asked["series"])
        return Response(selectors.downsampled(series, asked.get("from"), asked.get("to"), asked["points"]))


class TickSerializer(serializers.ModelSerializer):
    bid = AmountField()
    ask = AmountField()
    last = AmountField()
    id: Any = serializers.IntegerField(read_only=True, allow_null=True, help_text="Of an archived tick: null")

    class Meta:
        model = Tick
        fields = ("id", "market", "pair", "at_ms", "bid", "ask", "last")


class TickFilter(filters.FilterSet):
    since = filters.NumberFilter("at_ms", "gte")
    until = filters.NumberFilter("at_ms", "lt")

    class Meta:
        model = Tick
        fields = ("market", "pair")


class TickQuery(serializers.Serializer):
    market = serializers.CharField()
    pair = serializers.CharField()
    since = serializers.IntegerField(min_value=0, max_value=BIGGEST_MS, default=0)
    until = serializers.IntegerField(min_value=0, max_value=BIGGEST_MS, default=BIGGEST_MS)


class TickViewSet(mixins.ListModelMixin, viewsets.GenericViewSet):
    """Prices are public: ticks have no owner."""

    permission_classes = [HasRole]
    queryset = Tick.objects.all()
    serializer_class = TickSerializer
    filterset_class = TickFilter

    def list(self, request: Request) -> Response:
        """Return recorded quotes, newest first. With market and pair also those of archived days, by time.

        Archived ticks have no id. `next` asks for what is older than the last one shown.
        """
        if not {"market", "pair"} <= set(request.query_params):
            return super().list(request)
        query = TickQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        size = NewestFirst().get_page_size(request) or NewestFirst.max_page_size
        of = asked["market"], asked["pair"]
        found = tick_archive.newest(*of, asked["since"], asked["until"], size + 1)
        rows = found[:size]
        address = request.build_absolute_uri()
        older = replace_query_param(address, "until", rows[-1][0]) if len(found) > size else None
        return Response(
            {"next": older, "previous": None, "results": TickSerializer(_ticks(*of, rows), many=True).data}
        )


def _ticks(market: str, pair: str, rows: list[tick_archive.Row]) -> list[Tick]:
    """Return rows as ticks; those that are still in the database have their ids."""
    stored = Tick.objects.filter(market=market, pair=pair, at_ms__in=[row[0] for row in rows])
    ids = dict(stored.values_list("at_ms", "pk"))
    return [
        Tick(pk=ids.get(at_ms), market=market, pair=pair, at_ms=at_ms, bid=bid, ask=ask, last=last)
        for at_ms, bid, ask, last in rows
    ]


class PairQuery(serializers.Serializer):
    by = serializers.ChoiceField(choices=ranking.BY, default="score")


class RankingSerializer(serializers.Serializer):
    by = serializers.CharField()
    ranked = serializers.ListField(child=serializers.DictField(), help_text="Best first")
    excluded = serializers.ListField(
        child=serializers.DictField(), help_text="Left out, each with its reason"
    )


class PairViewSet(viewsets.ViewSet):
    permission_classes = [HasRole]

    @extend_schema(parameters=[PairQuery], responses={200: RankingSerializer})
    def list(self, request: Request) -> Response:
        """Rank the pairs of the archive by how worthwhile they are to trade."""
        query = PairQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = ranking.rank_archive(selectors.series_list(request.user), by=query.validated_data["by"])
        return Response(found.as_dict())


class ImportSerializer(serializers.ModelSerializer):
    class Meta:
        model = ImportReport
        fields = ("id", "file_name", "format", "status", "series", "rows_read", "rows_new",
                  "rows_duplicate", "rows_rejected", "rejects", "notes", "error",
                  "seconds", "created_at")  # fmt: skip


class ImportRequest(Body):
    upload = serializers.FileField(help_text="A candle file; its format is recognised")
    pair = serializers.CharField(required=False, max_length=30, help_text="When the file does not say it")
    interval = serializers.ChoiceField(required=False, choices=list(MS))


class ImportViewSet(ReadOnly):
    queryset = ImportReport.objects.all()
    serializer_class = ImportSerializer
    filterset_fields = ("status", "series")
    parser_classes = [parsers.MultiPartParser]

    @extend_schema(request=ImportRequest, responses={202: ImportSerializer}, parameters=[HEADER])
    @idempotent
    def create(self, request: Request) -> Response:
        """Queue a file for import; poll the report until it is done or failed."""
        body = ImportRequest(data=request.data)
        body.is_valid(raise_exception=True)
        report = services.queue_import(owner=request.user, **body.validated_data)
        return Response(ImportSerializer(report).data, status=202)


class AuditSerializer(serializers.ModelSerializer):
    actor = serializers.CharField(source="actor.username", read_only=True, default=None)

    class Meta:
        model = AuditEvent
        fields = ("id", "at", "actor", "action", "object_type", "object_id", "detail")


class AuditViewSet(ReadOnly):
    queryset = AuditEvent.objects.select_related("actor")
    serializer_class = AuditSerializer
    filterset_fields = ("action", "object_type", "object_id")
