"""What all pages share: paging, forms that show a service's refusal beside the field, POST actions."""

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

from market.errors import BadInput

Made = TypeVar("Made")


def page_of(request: HttpRequest, rows: QuerySet, size: int = 50) -> Page:
    """Return the page that `?page=` names; a wrong number gives the nearest."""
    return Paginator(rows, size).get_page(request.GET.get("page"))


def attempt(form: forms.BaseForm, act: Callable[..., Made], **given: Any) -> Made | None:
    """Run `act` with the form's values; None with the reasons beside the fields when it cannot be done."""
    if not form.is_valid():
        return None
    try:
        return act(**given, **form.cleaned_data)
    except BadInput as error:
        form.add_error(beside(form, error.field), error.message)
        return None


def errors_of(form: forms.BaseForm) -> str:
    """Return all that is wrong with a form as one line, for a button that has no form of its own to show."""
    return "; ".join(
        f"{name}: {why}" if name in form.fields else str(why)
        for name, errors in form.errors.items()
        for why in errors
    )


def beside(form: forms.BaseForm, field: str) -> str | None:
    """Return the form's field that an error's field means; None where there is none.

    `NAMES` of the form translates. A dotted field is found by its last part, a section by its first field, an
    item of a list ("levels.0") by its list.
    """
    field = getattr(form, "NAMES", {}).get(field, field)
    while field:
        if field in form.fields:
            return field
        for name in form.fields:
            if name.endswith(f".{field}") or name.startswith(f"{field}."):
                return name
        field = field.rpartition(".")[0]
    return None


def do(request: HttpRequest, act: Callable[..., Any], done: str, **given: Any) -> bool:
    """Run a service for a button; its outcome becomes a message on the next page."""
    try:
        act(**given)
    except BadInput as error:
        messages.error(request, error.message)
        return False
    messages.success(request, done)
    return True


def unbound_or_posted(request: HttpRequest, form: type[forms.BaseForm], **given: Any) -> Any:
    """Return the form, bound when this is a POST; a GET's query gives initial values."""
    if request.method == "POST":
        return form(request.POST, request.FILES, **given)
    return form(initial=request.GET.dict(), **given)
