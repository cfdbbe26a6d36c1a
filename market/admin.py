"""Admin of data, and of people."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from knox.models import AuthToken
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from market.models import (
    AuditEvent,
    Gap,
    IdempotencyKey,
    ImportReport,
    Lease,
    LiveBar,
    Partition,
    Series,
    Tick,
)
from market.web.admin import OwnedAdmin

admin.site.unregister(User)
admin.site.unregister(Group)
admin.site.unregister(AuthToken)


class SuperuserOnly:
    """People and their tokens are a superuser's business, whatever model permissions say."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser


@admin.register(User)
class UserAdmin(SuperuserOnly, BaseUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "roles", "is_staff", "is_superuser", "is_active", "last_login")

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "viewer"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")


@admin.register(Group)
class GroupAdmin(SuperuserOnly, BaseGroupAdmin, ModelAdmin):
    pass


@admin.register(AuthToken)
class TokenAdmin(SuperuserOnly, ModelAdmin):
    """Tokens are made by their owner; here they are only seen and revoked."""

    list_display = ("begins_with", "user", "created", "expiry")
    list_filter = ("user",)
    fields = readonly_fields = ("begins_with", "user", "created", "expiry")

    @admin.display(description="begins with")
    def begins_with(self, token: AuthToken) -> str:
        return f"{token.token_key[:8]}…"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Series)
class SeriesAdmin(OwnedAdmin):
    list_display = ("pair", "interval", "source", "rows", "first_ms", "last_ms", "owner", "updated_at")
    list_filter = ("pair", "source")
    search_fields = ("pair", "source")


@admin.register(Partition)
class PartitionAdmin(OwnedAdmin):
    owner_path = "series__owner"
    list_display = ("series", "month", "rows", "fingerprint")
    list_select_related = ("series",)


@admin.register(Gap)
class GapAdmin(OwnedAdmin):
    owner_path = "series__owner"
    list_display = ("series", "from_ms", "to_ms", "missing")
    list_select_related = ("series",)


@admin.register(ImportReport)
class ImportAdmin(OwnedAdmin):
    list_display = (
        "file_name",
        "status",
        "rows_read",
        "rows_new",
        "rows_duplicate",
        "rows_rejected",
        "created_at",
    )
    list_filter = ("status", "format")
    search_fields = ("file_name",)


@admin.register(Tick)
class TickAdmin(OwnedAdmin):
    owner_path = ""
    list_display = ("pair", "market", "at_ms", "bid", "ask", "last")
    list_filter = ("pair", "market")


@admin.register(LiveBar)
class LiveBarAdmin(OwnedAdmin):
    """The name of a source holds where a person takes candles from, and what its path may hold."""

    owner_path = ""
    list_display = ("pair", "market", "interval_ms", "open_ms", "close", "volume", "origin")
    list_filter = ("pair", "market", "origin")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser


@admin.register(AuditEvent)
class AuditAdmin(OwnedAdmin):
    """Immutable: nobody adds, changes or deletes here."""

    list_display = ("at", "actor", "owner", "action", "object_type", "object_id")
    list_filter = ("action", "object_type")
    search_fields = ("action", "object_type", "object_id")
    date_hierarchy = "at"
    list_select_related = ("actor", "owner")


@admin.register(Lease)
class LeaseAdmin(OwnedAdmin):
    owner_path = ""
    list_display = ("name", "owner", "fence", "until_ms")
    search_fields = ("name",)


@admin.register(IdempotencyKey)
class IdempotencyAdmin(OwnedAdmin):
    owner_path = "user"
    list_display = ("user", "key", "path", "status", "created_at")
    fields = ("user", "key", "path", "status", "created_at")
