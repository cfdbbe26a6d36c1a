"""REST about what a training spec may say."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from agents.spec.settings import settings
from market.web.roles import HasRole


class ChoiceSerializer(serializers.Serializer):
    value = serializers.CharField()
    about = serializers.CharField(allow_blank=True)


class SettingSerializer(serializers.Serializer):
    name = serializers.CharField(help_text="Dotted, as a key of `spec` or of --set")
    group = serializers.CharField()
    kind = serializers.CharField(help_text="choice, whole, number, text, or a list: wholes, numbers, texts")
    label: Any = serializers.CharField()
    about = serializers.CharField(allow_blank=True)
    range = serializers.CharField(allow_blank=True, help_text="What it may be, in words")
    default = serializers.JSONField(allow_null=True)
    choices = ChoiceSerializer(many=True)
    low = serializers.FloatField(allow_null=True, help_text="Included")
    high = serializers.FloatField(allow_null=True, help_text="Included")
    when = serializers.CharField(allow_blank=True, help_text="Elsewhere it says nothing; empty: always")


class SettingViewSet(ViewSet):
    permission_classes = [HasRole]

    @extend_schema(responses={200: SettingSerializer(many=True)})
    def list(self, request: Request) -> Response:
        """Return every setting of a training spec: meaning, kind, range, choices, default."""
        rows = [
            asdict(row) | {"choices": [{"value": value, "about": about} for value, about in row.choices]}
            for row in settings().values()
        ]
        return Response(SettingSerializer(rows, many=True).data)
