"""Money in JSON: exact decimal strings, written the same way on every page and endpoint."""

from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from market.web.numbers import plain


@extend_schema_field(OpenApiTypes.DECIMAL)
class AmountField(serializers.Field):
    """Read-only Decimal as a plain string: no exponent, no trailing zeros."""

    def __init__(self, **given: Any) -> None:
        super().__init__(read_only=True, **given)

    def to_representation(self, value: Decimal) -> str | None:
        return plain(value)
