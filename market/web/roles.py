"""Who may do what with their own objects.

viewer    sees everything of their own (a person in no group is a viewer)
operator  also starts and stops: sessions, training, backtests, imports; promotes models; closes alerts
admin     also changes what trading rests on: accounts with their secrets, risk profiles; resumes a halt

Superusers are admins who see everybody's objects. API tokens carry their owner's role.
"""

from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView


class Role(IntEnum):
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def group(self) -> str:
        return self.name.lower()


def role_of(user: Any) -> Role:
    """Return the highest role of `user`; read once per user object."""
    if user.is_superuser:
        return Role.ADMIN
    if not hasattr(user, "_role"):
        names = set(user.groups.values_list("name", flat=True))
        user._role = max((role for role in Role if role.group in names), default=Role.VIEWER)
    return user._role


def person(request: HttpRequest | Request) -> Any:
    """Return who asks, in views that let only signed-in people in."""
    return request.user


def refusal(needed: Role) -> str:
    return f"This needs the role {needed.group}; ask an administrator to add you to that group."


def require(user: Any, needed: Role) -> None:
    """Let `user` pass.

    :raises PermissionDenied: when the role is too low.
    """
    if role_of(user) < needed:
        raise PermissionDenied(refusal(needed))


def page(needed: Role = Role.VIEWER) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a page's view: signed in, and POST only with the role `needed`."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @login_required
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in SAFE_METHODS:
                require(request.user, needed)
            return view(request, *args, **kwargs)

        return wrapper

    return decorate


class HasRole(BasePermission):
    """Reading needs a signed-in user; anything else the view's `role` (operator unless it says otherwise).

    A view's `roles` name actions that need another one.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        needed = getattr(view, "role", Role.OPERATOR)
        needed = getattr(view, "roles", {}).get(getattr(view, "action", None), needed)
        self.message = refusal(needed)
        return request.method in SAFE_METHODS or role_of(request.user) >= needed


def create_groups(using: str, **kwargs: Any) -> None:
    """Make the groups (connected to post_migrate, so that a flushed database has them again)."""
    for role in Role:
        Group.objects.using(using).get_or_create(name=role.group)
