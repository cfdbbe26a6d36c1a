"""REST about many runs as one job."""

from typing import Any

from django.db.models import Count
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import services
from agents.models import Experiment, JobStatus, ResourceSample, TrainingRun, TrainingValidation
from agents.spec import PRESETS, over_preset
from market.web.bodies import Body
from market.web.idempotency import HEADER, idempotent
from market.web.ownership import ReadOnly
from market.web.schema import example

BIGGEST = 2**53


class ValidationSerializer(serializers.ModelSerializer):
    class Meta:
        model = TrainingValidation
        fields = ("step", "curve", "actions", "probes")


class SampleSerializer(serializers.ModelSerializer):
    values = serializers.DictField(child=serializers.FloatField())

    class Meta:
        model = ResourceSample
        fields = ("at", "values")


class CardRequest(Body):
    card = serializers.DictField(help_text="A run card, as `GET /models/{id}/card/` gives it")
    series = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=BIGGEST,
        help_text="Its candles, where the card's are not found",
    )


class CellSerializer(serializers.ModelSerializer):
    model: Any = serializers.PrimaryKeyRelatedField(read_only=True, allow_null=True)
    cell = serializers.DictField(help_text="seed, window, and the settings that vary")
    judged = serializers.DictField(
        read_only=True,
        help_text="Validation figures of its model; without one, of the newest checkpoint (score, ...)",
    )

    class Meta:
        model = TrainingRun
        fields = (
            "id",
            "name",
            "status",
            "cell",
            "steps_total",
            "steps_done",
            "fps",
            "eta_s",
            "latest",
            "judged",
            "model",
        )


class ExperimentSerializer(serializers.ModelSerializer):
    run_count = serializers.SerializerMethodField()
    seeds = serializers.ListField(child=serializers.IntegerField(), read_only=True)
    grid = serializers.DictField(read_only=True)

    class Meta:
        model = Experiment
        fields = ("id", "name", "series", "seeds", "grid", "windows", "run_count", "created_at")

    def get_run_count(self, row: Experiment) -> int:
        counted = getattr(row, "counted", None)
        return row.runs.count() if counted is None else counted


class ExperimentDetailSerializer(ExperimentSerializer):
    runs = CellSerializer(many=True, read_only=True)
    statuses = serializers.SerializerMethodField(help_text="How many runs are in each state")

    class Meta(ExperimentSerializer.Meta):
        fields = (*ExperimentSerializer.Meta.fields, "spec", "statuses", "runs")  # type: ignore[assignment]

    def get_statuses(self, row: Experiment) -> dict[str, int]:
        return {status: row.runs.filter(status=status).count() for status in JobStatus.values}


class ExperimentRequest(Body):
    name = serializers.CharField(max_length=100)
    preset = serializers.ChoiceField(choices=list(PRESETS), required=False)
    spec = serializers.DictField(required=False, help_text="As of a training run")
    seeds = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=2**32 - 1), min_length=1, max_length=512
    )
    grid = serializers.DictField(
        child=serializers.ListField(min_length=1), required=False, help_text="Dotted setting: values it takes"
    )
    windows = serializers.IntegerField(min_value=1, max_value=100, default=1)


@extend_schema_view(retrieve=extend_schema(responses=ExperimentDetailSerializer))
class ExperimentViewSet(ReadOnly):
    queryset = Experiment.objects.annotate(counted=Count("runs"))
    filterset_fields = ("series", "name")

    def get_serializer_class(self) -> type[serializers.Serializer]:
        return ExperimentSerializer if self.action == "list" else ExperimentDetailSerializer

    @extend_schema(
        request=ExperimentRequest,
        responses={201: ExperimentSerializer},
        parameters=[HEADER],
        examples=[
            example(
                "Five seeds, three windows, two rates",
                {
                    "name": "rates",
                    "preset": "default-1m",
                    "spec": {"series": 1},
                    "seeds": [0, 1, 2, 3, 4],
                    "grid": {"ppo.lr": [0.0001, 0.0003]},
                    "windows": 3,
                },
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Start a run for every seed, window and combination of settings; all of them or none."""
        body = ExperimentRequest(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        spec = over_preset(given.get("preset", ""), given.get("spec", {}))
        plan = {name: given.get(name) for name in ("name", "seeds", "grid", "windows")}
        made = services.start_experiment(owner=request.user, spec=spec, by=request.user, **plan)
        return Response(ExperimentSerializer(made).data, status=201)

    @extend_schema(request=None, responses={200: ExperimentDetailSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel every run that has not ended; checkpoints stay."""
        services.cancel_experiment(self.get_object(), by=request.user)
        return Response(ExperimentDetailSerializer(self.get_object()).data)
