"""What every page shows around its content."""

from typing import Any

from django.http import HttpRequest

from market.web.roles import Role, role_of


def chrome(request: HttpRequest) -> dict[str, Any]:
    """Return the person's role for menus and buttons (context processor; no query for strangers)."""
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return {}
    role = role_of(request.user)
    return {
        "role": role.group,
        "may_operate": role >= Role.OPERATOR,
        "may_administer": role >= Role.ADMIN,
        "section": request.resolver_match.url_name if request.resolver_match else "",
    }
