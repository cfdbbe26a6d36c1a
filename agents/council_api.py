"""REST about councils: who votes, and reviews of what each member adds."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import services
from agents.api import BIGGEST
from agents.models import Council, CouncilMember, CouncilReview, TrainedModel
from agents.policies import BASELINES
from agents.policies.council import COMBINES, METHODS
from market.models import Series
from market.web.bodies import Body
from market.web.idempotency import HEADER, idempotent
from market.web.ownership import ReadOnly, visible
from market.web.schema import example


class CouncilMemberSerializer(serializers.ModelSerializer):
    class Meta:
        model = CouncilMember
        fields = ("name", "model", "baseline", "params", "weight", "policy_hash")


class CouncilSerializer(serializers.ModelSerializer):
    members = CouncilMemberSerializer(many=True, read_only=True)

    class Meta:
        model = Council
        fields = ("id", "name", "method", "combine", "quorum", "interval_ms", "members", "hash",
                  "is_archived", "created_at")  # fmt: skip


class SeatRequest(Body):
    model = serializers.IntegerField(required=False, min_value=1, max_value=BIGGEST)
    baseline = serializers.ChoiceField(required=False, choices=sorted(BASELINES))
    params = serializers.DictField(required=False, help_text="Of a fixed rule")
    weight = serializers.FloatField(
        required=False, help_text="Default: the validated Sharpe where weights count, else 1"
    )


class CouncilRequest(Body):
    name = serializers.CharField(max_length=100)
    members = SeatRequest(many=True)
    method = serializers.ChoiceField(choices=list(METHODS), default="majority")
    combine = serializers.ChoiceField(choices=list(COMBINES), default="votes")
    quorum = serializers.IntegerField(
        required=False, min_value=1, max_value=32767, help_text="Default: more than half of the members"
    )


class CouncilViewSet(ReadOnly):
    queryset = Council.objects.prefetch_related("members")
    serializer_class = CouncilSerializer
    filterset_fields = ("name", "method", "is_archived")

    @extend_schema(
        request=CouncilRequest,
        responses={201: CouncilSerializer},
        parameters=[HEADER],
        examples=[
            example(
                "Two models and a rule",
                {
                    "name": "three",
                    "method": "weighted",
                    "quorum": 2,
                    "members": [{"model": 1}, {"model": 2}, {"baseline": "sma_crossover", "weight": 0.5}],
                },
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a council. It never changes afterwards: other members or weights are another council."""
        body = CouncilRequest(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        mine = visible(TrainedModel, request.user)
        for seat in given["members"]:
            if "model" in seat:
                seat["model"] = get_object_or_404(mine, pk=seat["model"])
        given["members"] = [services.Seat(**seat) for seat in given["members"]]
        council = services.create_council(owner=request.user, **given)
        return Response(CouncilSerializer(council).data, status=201)

    @extend_schema(request=None, responses={200: CouncilSerializer})
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: str) -> Response:
        """Take it out of the lists people choose from; sessions that use it go on."""
        return Response(CouncilSerializer(services.archive_council(self.get_object(), by=request.user)).data)


class ReviewSerializer(serializers.ModelSerializer):
    error = serializers.SerializerMethodField(help_text="What went wrong, in one sentence")

    class Meta:
        model = CouncilReview
        fields = ("id", "council", "series", "from_ms", "to_ms", "settings", "status", "share_done", "eta_s",
                  "result", "assumptions", "policy_hash", "data_fingerprint", "code_version", "error",
                  "seconds", "created_at", "finished_at")  # fmt: skip

    def get_error(self, review: CouncilReview) -> str:
        return review.error.partition("\n")[0]


class ReviewDetailSerializer(ReviewSerializer):
    class Meta(ReviewSerializer.Meta):
        fields = (*ReviewSerializer.Meta.fields, "curve")  # type: ignore[assignment]


class ReviewRequest(Body):
    council = serializers.IntegerField(min_value=1, max_value=BIGGEST)
    series = serializers.IntegerField(min_value=1, max_value=BIGGEST)
    from_ms = serializers.IntegerField(required=False, min_value=0, max_value=BIGGEST)
    to_ms = serializers.IntegerField(required=False, min_value=0, max_value=BIGGEST)
    settings = serializers.DictField(required=False, help_text="As of a backtest")


@extend_schema_view(retrieve=extend_schema(responses=ReviewDetailSerializer))
class ReviewViewSet(ReadOnly):
    queryset = CouncilReview.objects.all()
    filterset_fields = ("status", "council", "series")

    def get_serializer_class(self) -> type[serializers.Serializer]:
        return ReviewDetailSerializer if self.action == "retrieve" else ReviewSerializer

    @extend_schema(
        request=ReviewRequest,
        responses={201: ReviewSerializer},
        parameters=[HEADER],
        examples=[example("Start", {"council": 1, "series": 1})],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Start a review: what each member adds, and how far they disagree."""
        body = ReviewRequest(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        for name, model in (("council", Council), ("series", Series)):
            given[name] = get_object_or_404(visible(model, request.user), pk=given[name])
        made = services.start_review(owner=request.user, **given)
        return Response(ReviewSerializer(made).data, status=201)

    @extend_schema(request=None, responses={200: ReviewSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop it; what it has computed so far is dropped."""
        cancelled = services.cancel_computation(self.get_object(), by=request.user)
        return Response(ReviewSerializer(cancelled).data)
