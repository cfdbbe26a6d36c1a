"""Accounts, tokens and risk profiles."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from knox.models import AuthToken

from market.errors import Conflict
from market.web import audit
from market.web.ownership import visible
from market.web.pages import attempt, do, unbound_or_posted
from market.web.roles import Role, page, person
from trading import accounts, tokens
from trading.forms import AccountForm, PollForm, RiskForm, SecretForm, TokenForm
from trading.models import Account, RiskProfile


@page(Role.ADMIN)
def settings(request: HttpRequest) -> HttpResponse:
    form = unbound_or_posted(request, AccountForm)
    if request.method == "POST":
        made = attempt(form, accounts.create_account, owner=request.user)
        if made is not None:
            messages.success(
                request, f"{made.name} is added. Test the connection before you start a session."
            )
            return redirect("account", made.pk)
    return _settings_page(request, form=form, status=422 if form.errors else 200)


def _settings_page(request: HttpRequest, *, status: int = 200, **given: Any) -> HttpResponse:
    rows = visible(Account, request.user).prefetch_related("holdings")
    context = {
        "accounts": [(account, accounts.masked_key(account)) for account in rows],
        "tokens": AuthToken.objects.filter(user=request.user).order_by("-created"),
        "form": AccountForm(),
        "token_form": TokenForm(),
        **given,
    }
    return render(request, "trading/settings.html", context, status=status)


@page(Role.ADMIN)
def account(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(Account, request.user), pk=pk)
    form = unbound_or_posted(request, SecretForm)
    given = {"account": found, "by": request.user}
    if request.method == "POST" and attempt(form, accounts.rotate_secret, **given) is not None:
        messages.success(request, "The new key and secret are stored.")
        return redirect("account", pk)
    return _account_page(request, found, form=form, status=422 if form.errors else 200)


@require_POST
@page(Role.ADMIN)
def account_poll(request: HttpRequest, pk: int) -> HttpResponse:
    """Say how often its prices are read."""
    found = get_object_or_404(visible(Account, request.user), pk=pk)
    form = PollForm(request.POST)
    if attempt(form, accounts.poll_every, account=found, by=request.user) is None:
        return _account_page(request, found, poll_form=form, status=422)
    messages.success(request, f"Prices are read every {found.poll_s:g} s from the next one on.")
    return redirect("account", pk)


def _account_page(request: HttpRequest, found: Account, *, status: int = 200, **given: Any) -> HttpResponse:
    context = {
        "account": found,
        "key": accounts.masked_key(found),
        "form": SecretForm(),
        "poll_form": PollForm(initial={"poll_s": found.poll_s}),
        "holdings": found.holdings.exclude(quantity=0),
        "reconciliations": found.reconciliations.all()[:10],
        "ledger": found.ledger.order_by("-id")[:50],
        "sessions": found.sessions.all()[:10],
        **given,
    }
    return render(request, "trading/account.html", context, status=status)


@require_POST
@page(Role.OPERATOR)
def account_check(request: HttpRequest, pk: int) -> HttpResponse:
    """Test the connection: one sentence, good or bad."""
    found = get_object_or_404(visible(Account, request.user), pk=pk)
    result = accounts.check_account(account=found, by=person(request))
    messages.add_message(request, messages.SUCCESS if result.ok else messages.ERROR, result.sentence)
    return redirect("account", pk)


@require_POST
@page()
def token_create(request: HttpRequest) -> HttpResponse:
    """Show the token in this answer only; just its hash is stored. A token carries its owner's role."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _settings_page(request, token_form=form, status=422)
    row, token = tokens.create(user=request.user, life=timedelta(hours=form.cleaned_data["hours"]))
    response = _settings_page(request, new_token=token, new_expiry=row.expiry)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@page()
def token_revoke(request: HttpRequest, key: str) -> HttpResponse:
    count = tokens.revoke(user=request.user, key=key)
    messages.success(request, "The token is revoked." if count else "There is no such token any more.")
    return redirect("settings")


@page(Role.ADMIN)
def risk(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    rows = visible(RiskProfile, request.user)
    profile = get_object_or_404(rows, pk=pk) if pk else RiskProfile(owner=person(request))
    is_mine = profile.owner_id == request.user.pk or request.user.is_superuser
    form = RiskForm(request.POST or None, instance=profile)
    if request.method == "POST" and is_mine and form.is_valid() and _save(request, form):
        messages.success(request, f"{form.instance.name} is saved; running sessions follow it from now on.")
        return redirect("risk")
    context = {"rows": rows, "form": form, "profile": profile, "is_mine": is_mine}
    return render(request, "trading/risk.html", context, status=422 if form.errors else 200)


def _save(request: HttpRequest, form: RiskForm) -> bool:
    try:
        with transaction.atomic():
            profile = form.save()
            changed = {name: str(form.cleaned_data[name]) for name in form.changed_data}
            audit.record(request.user, "risk.change", profile, **changed)
    except IntegrityError:
        same = RiskProfile.objects.filter(owner=form.instance.owner_id, name=form.cleaned_data["name"])
        if same.exclude(pk=form.instance.pk).exists():
            form.add_error("name", "You have a profile of that name already: choose another name.")
        else:
            form.add_error(None, "A limit is out of its range.")
        return False
    return True


@require_POST
@page(Role.ADMIN)
def account_active(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(visible(Account, request.user), pk=pk)
    do(request, _toggle, "Done.", account=found, by=request.user)
    return redirect("account", pk)


@require_POST
@page(Role.ADMIN)
def account_foreign(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what sessions make of orders placed by hand."""
    found = get_object_or_404(visible(Account, request.user), pk=pk)
    given = {"account": found, "foreign_orders": request.POST.get("foreign_orders", ""), "by": request.user}
    do(request, accounts.treat_foreign_orders, "Done.", **given)
    return redirect("account", pk)


@transaction.atomic
def _toggle(*, account: Account, by: Any) -> None:
    """Switch an account on or off; an account that is traded on stays on.

    :raises Conflict: while a session is driven on it.
    """
    rows = Account.objects.select_for_update(no_key=True)  # a session may be starting on it
    account = rows.get(pk=account.pk)
    if account.is_active and account.sessions.driven().exists():
        raise Conflict("A session trades on this account; stop it first.")
    account.is_active = not account.is_active
    account.save(update_fields=["is_active"])
    audit.record(by, "account.switch", account, active=account.is_active)
