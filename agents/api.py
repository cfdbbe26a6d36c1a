"""REST about learning: models, training runs, backtests."""

from typing import Any

from django.db.models import Count
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from agents import services
from agents.models import Backtest, Council, TestOpening, TrainedModel, TrainingMetric, TrainingRun
from agents.policies import BASELINES
from agents.runs_api import CardRequest, SampleSerializer, ValidationSerializer
from agents.spec import ALGORITHMS, PRESETS, TrainingSpec, over_preset, written
from market.models import Series
from market.web.bodies import Body
from market.web.idempotency import HEADER, idempotent
from market.web.ownership import ReadOnly, visible
from market.web.roles import HasRole
from market.web.schema import example

BIGGEST = 2**53


class ModelSerializer(serializers.ModelSerializer):
    openings = serializers.SerializerMethodField(help_text="How often the sealed test part was opened")

    def get_openings(self, model: TrainedModel) -> int:
        counted = getattr(model, "opening_count", None)
        return model.openings.count() if counted is None else counted

    class Meta:
        model = TrainedModel
        fields = ("id", "name", "run", "algorithm", "status", "series", "train_from_ms", "train_to_ms",
                  "valid_to_ms", "test_from_ms", "test_to_ms", "openings", "metrics",
                  "feature_set_hash", "data_fingerprint", "judged_fingerprint", "file_hash",
                  "code_version", "created_at")  # fmt: skip


class ModelDetailSerializer(ModelSerializer):
    tests = serializers.SerializerMethodField(
        help_text="How many backtests and reviews read the test part since, those of its openings left out"
    )

    def get_tests(self, model: TrainedModel) -> int:
        return int(services.openings(model)["tests"])

    class Meta(ModelSerializer.Meta):
        fields = (*ModelSerializer.Meta.fields, "tests", "spec", "feature_set", "versions")  # type: ignore[assignment]


class OpeningSerializer(serializers.ModelSerializer):
    opened_by = serializers.CharField(source="opened_by.username", read_only=True)

    class Meta:
        model = TestOpening
        fields = ("id", "model", "opened_by", "reason", "backtest", "opened_at")


class OpeningRequest(Body):
    reason = serializers.CharField(max_length=500, help_text="Why now; kept with your name")


class RunSerializer(serializers.ModelSerializer):
    model: Any = serializers.PrimaryKeyRelatedField(read_only=True, allow_null=True)
    error = serializers.SerializerMethodField(help_text="What went wrong, in one sentence")
    notes = serializers.ListField(child=serializers.CharField(), read_only=True)
    judged = serializers.DictField(
        read_only=True,
        help_text="Validation figures of its model; without one, of the newest checkpoint (score, ...)",
    )
    is_reproduced = serializers.BooleanField(
        read_only=True, allow_null=True, help_text="Of a reproduction: did it end with the expected weights?"
    )

    class Meta:
        model = TrainingRun
        fields = ("id", "name", "status", "desired", "series", "steps_total", "steps_done", "fps", "eta_s",
                  "latest", "judged", "error", "attempts", "spec", "data_fingerprint", "code_version",
                  "versions", "model", "notes", "weights_hash", "expected_hash", "is_reproduced",
                  "experiment", "resources", "device", "created_at", "started_at", "heartbeat_at",
                  "finished_at")  # fmt: skip

    def get_error(self, run: TrainingRun) -> str:
        return run.error.partition("\n")[0]


class ModelViewSet(ReadOnly):
    queryset = TrainedModel.objects.annotate(opening_count=Count("openings"))
    filterset_fields = ("status", "algorithm", "series", "name")

    def get_serializer_class(self) -> type[serializers.Serializer]:
        return ModelSerializer if self.action == "list" else ModelDetailSerializer

    @extend_schema(request=None, responses={200: ModelDetailSerializer})
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: str) -> Response:
        """Choose the model for live trading; recorded with your name."""
        services.promote(model=self.get_object(), by=request.user)
        return Response(ModelDetailSerializer(self.get_object()).data)

    @extend_schema(responses={200: OpenApiTypes.OBJECT}, filters=False)
    @action(detail=True, pagination_class=None, filter_backends=[])
    def card(self, request: Request, pk: str) -> Response:
        """Return the run card: all that is needed to train the same weights again."""
        return Response(services.card_of(self.get_object()))

    @extend_schema(request=None, responses={201: RunSerializer}, parameters=[HEADER])
    @action(detail=True, methods=["post"])
    @idempotent
    def reproduce(self, request: Request, pk: str) -> Response:
        """Train the same once more; the run says at its end whether the weights are the same."""
        run = services.reproduce(owner=request.user, model=self.get_object(), by=request.user)
        return Response(RunSerializer(run).data, status=201)

    @extend_schema(responses={200: OpeningSerializer(many=True)}, filters=False)
    @action(detail=True, pagination_class=None, filter_backends=[])
    def openings(self, request: Request, pk: str) -> Response:
        """Return who opened the sealed test part, when and why, newest first."""
        rows = self.get_object().openings.select_related("opened_by")
        return Response(OpeningSerializer(rows, many=True).data)

    @extend_schema(
        request=OpeningRequest,
        responses={201: OpeningSerializer},
        parameters=[HEADER],
        examples=[example("Open", {"reason": "Chosen on validation; last check before it trades"})],
    )
    @action(detail=True, methods=["post"], url_path="open-test")
    @idempotent
    def open_test(self, request: Request, pk: str) -> Response:
        """Open the sealed test part: recorded with your name, counted, and backtested."""
        model = self.get_object()
        body = OpeningRequest(data=request.data)
        body.is_valid(raise_exception=True)
        opening = services.open_test(model=model, by=request.user, reason=body.validated_data["reason"])
        return Response(OpeningSerializer(opening).data, status=201)


class RunRequest(Body):
    name = serializers.CharField(max_length=120)
    preset = serializers.ChoiceField(choices=list(PRESETS), required=False)
    algorithm = serializers.ChoiceField(
        choices=list(ALGORITHMS), required=False, help_text="Which algorithm learns; docs/training.md"
    )
    spec = serializers.DictField(
        required=False,
        help_text="Settings over the preset: series, steps, seed, from, to, ppo, reward …; `pairs` (names) "
        "or `basket` (ids of series) share one account out between several pairs; `extends` names the preset "
        "as well, `version` says how old the settings are",
    )


class MetricSerializer(serializers.ModelSerializer):
    values = serializers.DictField(child=serializers.FloatField(allow_null=True))

    class Meta:
        model = TrainingMetric
        fields = ("step", "values", "at")


class SpecSerializer(serializers.Serializer):
    spec = serializers.DictField()
    yaml = serializers.CharField(help_text="The same as a file for `train --spec`; series named by pair")


class PresetSerializer(serializers.Serializer):
    name = serializers.CharField()
    spec = serializers.DictField()


class PresetViewSet(ViewSet):
    permission_classes = [HasRole]

    @extend_schema(responses={200: PresetSerializer(many=True)})
    def list(self, request: Request) -> Response:
        """Return every preset with its settings written out."""
        rows = [{"name": name, "spec": TrainingSpec.parse(PRESETS[name]).as_dict()} for name in PRESETS]
        return Response(PresetSerializer(rows, many=True).data)


class RunViewSet(ReadOnly):
    queryset = TrainingRun.objects.select_related("model")
    serializer_class = RunSerializer
    filterset_fields = ("status", "series", "name")

    @extend_schema(
        request=RunRequest,
        responses={201: RunSerializer},
        parameters=[HEADER],
        examples=[
            example(
                "Start",
                {"name": "first", "preset": "demo", "spec": {"series": 1, "steps": 300000, "seed": 1}},
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Start a training run."""
        body = RunRequest(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        chosen = {name: given[name] for name in ("algorithm",) if name in given} | given.get("spec", {})
        spec = over_preset(given.get("preset", ""), chosen)
        run = services.start_training(owner=request.user, name=given["name"], spec=spec, by=request.user)
        return Response(RunSerializer(run).data, status=201)

    @extend_schema(request=None, responses={200: RunSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop the run at its next step; its checkpoint stays."""
        return self._act(services.cancel_training, request)

    @extend_schema(request=None, responses={200: RunSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on from the last checkpoint."""
        return self._act(services.resume_training, request)

    @extend_schema(request=CardRequest, responses={201: RunSerializer}, parameters=[HEADER])
    @action(detail=False, methods=["post"])
    @idempotent
    def reproduce(self, request: Request) -> Response:
        """Train what a run card says once more and compare the weights."""
        body = CardRequest(data=request.data)
        body.is_valid(raise_exception=True)
        run = services.reproduce(owner=request.user, by=request.user, **body.validated_data)
        return Response(RunSerializer(run).data, status=201)

    @extend_schema(responses={200: ValidationSerializer(many=True)}, filters=False)
    @action(detail=True, pagination_class=None, filter_backends=[])
    def validations(self, request: Request, pk: str) -> Response:
        """Return what each judged checkpoint did on the validation part, and thought in fixed states."""
        return Response(ValidationSerializer(self.get_object().validations.all(), many=True).data)

    @extend_schema(responses={200: SampleSerializer(many=True)}, filters=False)
    @action(detail=True, pagination_class=None, filter_backends=[])
    def resources(self, request: Request, pk: str) -> Response:
        """Return what the run used: cpu (cores), rss_mb, queue (runs that wait), fps.

        On a GPU also gpu_mb, gpu_free_mb and, where the driver tells it, gpu (share of the time at work).
        """
        return Response(SampleSerializer(self.get_object().samples.all(), many=True).data)

    @extend_schema(responses={200: SpecSerializer}, filters=False)
    @action(detail=True, pagination_class=None, filter_backends=[])
    def spec(self, request: Request, pk: str) -> Response:
        """Return the complete settings as a spec of the present version that any installation can train."""
        spec = TrainingSpec.stored(self.get_object().spec).as_dict()
        return Response({"spec": spec, "yaml": written(spec)})

    @extend_schema(responses={200: MetricSerializer(many=True)}, filters=False)
    @action(detail=True, pagination_class=None, filter_backends=[])
    def metrics(self, request: Request, pk: str) -> Response:
        """Return what the run reported, by step."""
        return Response(MetricSerializer(self.get_object().metrics.all(), many=True).data)

    def _act(self, service: Any, request: Request) -> Response:
        service(run=self.get_object(), by=request.user)
        return Response(RunSerializer(self.get_object()).data)


class BacktestSerializer(serializers.ModelSerializer):
    error = serializers.SerializerMethodField(help_text="What went wrong, in one sentence")

    class Meta:
        model = Backtest
        fields = ("id", "model", "baseline", "council", "series", "from_ms", "to_ms", "settings", "status",
                  "share_done", "eta_s", "metrics", "assumptions", "policy_hash", "data_fingerprint",
                  "code_version", "error", "seconds", "created_at", "finished_at")  # fmt: skip

    def get_error(self, backtest: Backtest) -> str:
        return backtest.error.partition("\n")[0]


class BacktestDetailSerializer(BacktestSerializer):
    class Meta(BacktestSerializer.Meta):
        fields = (*BacktestSerializer.Meta.fields, "curve", "trades")  # type: ignore[assignment]


def only_one_policy(given: dict[str, Any]) -> dict[str, Any]:
    """:raises ValidationError: unless exactly one of model, baseline and council is given"""
    if sum(name in given for name in ("model", "baseline", "council")) != 1:
        raise serializers.ValidationError({"model": "Give either a model or a baseline or a council."})
    return given


class BacktestRequest(Body):
    model = serializers.IntegerField(required=False, min_value=1, max_value=BIGGEST)
    baseline = serializers.ChoiceField(required=False, choices=sorted(BASELINES))
    council = serializers.IntegerField(required=False, min_value=1, max_value=BIGGEST)
    series = serializers.IntegerField(min_value=1, max_value=BIGGEST)
    from_ms = serializers.IntegerField(required=False, min_value=0, max_value=BIGGEST)
    to_ms = serializers.IntegerField(required=False, min_value=0, max_value=BIGGEST)
    settings = serializers.DictField(required=False)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        return only_one_policy(given)


@extend_schema_view(retrieve=extend_schema(responses=BacktestDetailSerializer))
class BacktestViewSet(ReadOnly):
    queryset = Backtest.objects.all()
    filterset_fields = ("status", "model", "baseline", "council", "series")

    def get_serializer_class(self) -> type[serializers.Serializer]:
        return BacktestDetailSerializer if self.action == "retrieve" else BacktestSerializer

    @extend_schema(
        request=BacktestRequest,
        responses={201: BacktestSerializer},
        parameters=[HEADER],
        examples=[
            example("A fixed rule", {"baseline": "sma_crossover", "series": 1}),
            example("A council", {"council": 1, "series": 1}),
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Start a backtest."""
        body = BacktestRequest(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        model, council = given.get("model"), given.get("council")
        backtest = services.start_backtest(
            owner=request.user,
            model=get_object_or_404(visible(TrainedModel, request.user), pk=model) if model else None,
            baseline=given.get("baseline", ""),
            council=get_object_or_404(visible(Council, request.user), pk=council) if council else None,
            series=get_object_or_404(visible(Series, request.user), pk=given["series"]),
            from_ms=given.get("from_ms"),
            to_ms=given.get("to_ms"),
            settings=given.get("settings", {}),
        )
        return Response(BacktestSerializer(backtest).data, status=201)

    @extend_schema(request=None, responses={200: BacktestSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop it; what it has computed so far is dropped."""
        cancelled = services.cancel_computation(self.get_object(), by=request.user)
        return Response(BacktestSerializer(cancelled).data)
