"""Filters of lists: what is filtered by is the caller's own, too."""

from typing import Any

from django_filters import FilterSet, ModelChoiceFilter
from django_filters.rest_framework import DjangoFilterBackend


class OwnedFilterBackend(DjangoFilterBackend):
    """Answers a filter by another owner's row as one by a row that does not exist."""

    def get_filterset(self, request: Any, queryset: Any, view: Any) -> FilterSet | None:
        filters = super().get_filterset(request, queryset, view)
        for one in filters.filters.values() if filters else ():
            if isinstance(one, ModelChoiceFilter) and hasattr(one.queryset, "visible_to"):
                one.queryset = one.queryset.visible_to(request.user)
        return filters
