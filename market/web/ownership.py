"""Viewsets over rows that belong to people: what is not yours does not exist for you (404)."""

from typing import Any

from django.db.models import Model, QuerySet
from rest_framework import mixins
from rest_framework.viewsets import GenericViewSet

from market.web.roles import HasRole


class OwnedViewSet(GenericViewSet):
    """`queryset` limited to what the caller may see.

    A PATCH writes a whole row, of which it knows a part: its method is a transaction, and the row is locked.
    """

    permission_classes = [HasRole]

    def get_queryset(self) -> QuerySet:
        queryset = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return queryset.none()
        mine = queryset.visible_to(self.request.user)  # type: ignore[attr-defined]
        is_written = self.request.method == "PATCH"
        return mine.select_for_update(of=("self",), no_key=True) if is_written else mine


class ReadOnly(mixins.ListModelMixin, mixins.RetrieveModelMixin, OwnedViewSet):
    """List and detail."""


def visible(model: type[Model], user: Any) -> Any:
    """Return the queryset (of `model`'s own class) with the rows that `user` may see."""
    return model._default_manager.visible_to(user)  # type: ignore[attr-defined]
