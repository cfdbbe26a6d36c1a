"""What all our admin classes share: ownership, roles, services instead of saves, confirmed actions."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from market.errors import BadInput
from market.web.pages import beside
from market.web.roles import Role, refusal, role_of


class OwnedAdmin(ModelAdmin):
    """Staff see what is theirs (and what is shared); superusers see everything. Nothing is edited by hand."""

    owner_path = "owner"  # lookup of the owner; "" for rows that belong to nobody
    role = Role.OPERATOR  # needed to add or to change
    list_per_page = 50
    show_full_result_count = False
    list_fullwidth = True

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        if request.user.is_superuser or not self.owner_path:
            return rows
        return rows.filter(Q(**{self.owner_path: request.user}) | self.shared())

    def shared(self) -> Q:
        """Return which rows everybody sees: those whose owner may be absent, and is."""
        field = self.model._meta.get_field("owner") if self.owner_path == "owner" else None
        return Q(owner=None) if isinstance(field, ForeignKey) and field.null else Q(pk=None)

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Offer only relations of rows the reader sees: Django's own filter names everybody's."""
        return [self._owned_filter(one) for one in super().get_list_filter(request)]

    def _owned_filter(self, one: Any) -> Any:
        if isinstance(one, str) and get_fields_from_path(self.model, one)[-1].remote_field is not None:
            return one, admin.RelatedOnlyFieldListFilter
        return one

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_staff

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_staff

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        manager = db_field.remote_field.model._default_manager
        if hasattr(manager.all(), "visible_to"):
            kwargs["queryset"] = manager.visible_to(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class ServiceForm(forms.ModelForm):
    """Adds an object through a service; what the service refuses becomes an error beside the field."""

    request: HttpRequest
    made: Model | None = None

    def act(self, user: Any, given: dict[str, Any]) -> Model:
        """Return the new object. :raises BadInput: with the field it belongs to."""
        raise NotImplementedError

    def outcome(self) -> Model | BadInput | None:
        """Return what the service made of valid input, None for input that is not valid."""
        if not super().is_valid():
            return None
        try:
            return self.act(self.request.user, dict(self.cleaned_data))
        except BadInput as error:
            return error

    def is_valid(self) -> bool:
        valid = super().is_valid()
        outcome = getattr(self.request, "service_outcome", None)
        if isinstance(outcome, BadInput) and valid:
            self.add_error(beside(self, outcome.field), outcome.message)
            return False
        self.made = outcome if isinstance(outcome, Model) else None
        return valid and self.made is not None

    def _post_clean(self) -> None:
        """Leave the model's own validation to the service."""

    def save(self, commit: bool = True) -> Model:
        assert self.made is not None, "save() comes after is_valid()"  # noqa: S101  programming error
        self.save_m2m = lambda: None  # type: ignore[method-assign]
        return self.made


class ServiceAdmin(OwnedAdmin):
    """`add_form` starts things; the list and the detail show what became of them."""

    add_form: type[ServiceForm]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_staff and role_of(request.user) >= self.role

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        if request.method == "POST" and object_id is None and self.has_add_permission(request):
            # Here, before the admin opens its transaction: services may ask a venue, which takes seconds.
            form = self.get_form(request)(request.POST, request.FILES)
            request.service_outcome = form.outcome()  # type: ignore[attr-defined]
        return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change=change, **kwargs)
        form = type(self.add_form.__name__, (self.add_form,), {"request": request})
        return super().get_form(request, obj, change=change, **{**kwargs, "form": form})

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        if obj is None:
            return list(self.add_form.base_fields)
        return super().get_fields(request, obj)

    def get_exclude(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return None if obj is None else self.exclude

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """The service has saved it."""


def confirmed(
    label: str,
    text: str,
    *,
    role: Role = Role.OPERATOR,
    done: str = "Done",
    asks: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Decorate `act(self, request, obj)` into an admin action that asks first and reports each refusal.

    :param asks: name -> label of texts that a person may enter with the answer; they are in `request.POST`
    """

    def decorate(act: Callable[..., Any]) -> Any:
        def run(self: ModelAdmin, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
            if role_of(request.user) < role:
                raise PermissionDenied(refusal(role))
            if "confirmed" not in request.POST:
                return _ask(self, request, queryset, label=label, text=text, action=act.__name__, asks=asks)
            for obj in queryset:
                try:
                    said = act(self, request, obj)
                except BadInput as error:
                    messages.error(request, f"{obj}: {error.message}")
                else:
                    messages.success(request, f"{obj}: {said or done}")
            return None

        run.__name__ = act.__name__
        run.role = role  # type: ignore[attr-defined]  # that an action has one is tested
        run.__doc__ = act.__doc__
        return admin.action(description=label)(run)

    return decorate


def _ask(
    self: ModelAdmin,
    request: HttpRequest,
    rows: QuerySet,
    *,
    label: str,
    text: str,
    action: str,
    asks: Mapping[str, str] | None,
) -> TemplateResponse:
    context = {
        **self.admin_site.each_context(request),
        "title": label,
        "text": text,
        "opts": self.model._meta,
        "rows": rows,
        "action": action,
        "asks": asks or {},
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)
