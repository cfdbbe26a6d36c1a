"""The admin's menu: what an operator looks for first, by purpose instead of by app."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

GROUPS = {
    "Trading": {
        "Sessions": "trading_livesession",
        "Orders": "trading_order",
        "Fills": "trading_fill",
        "Decisions": "trading_decision",
        "Equity points": "trading_equitypoint",
        "Days": "trading_dailysummary",
    },
    "Alerts": {
        "Alerts": "trading_alert",
        "Channels": "trading_alertchannel",
        "Rules": "trading_alertrule",
        "Deliveries": "trading_delivery",
    },
    "Accounts": {
        "Accounts": "trading_account",
        "Holdings": "trading_holding",
        "Ledger": "trading_ledgerentry",
        "Reconciliations": "trading_reconciliation",
        "Risk profiles": "trading_riskprofile",
        "Portfolio plans": "trading_portfolioplan",
        "Plan decisions": "trading_plandecision",
        "Plan equity": "trading_planpoint",
        "Exposure caps": "trading_exposurecap",
        "Paper books": "trading_paperstate",
        "Call budgets": "trading_callbudget",
    },
    "Learning": {
        "Training runs": "agents_trainingrun",
        "Models": "agents_trainedmodel",
        "Backtests": "agents_backtest",
        "Councils": "agents_council",
        "Council members": "agents_councilmember",
        "Council reviews": "agents_councilreview",
        "Training metrics": "agents_trainingmetric",
    },
    "Data": {
        "Series": "market_series",
        "Gaps": "market_gap",
        "Files": "market_partition",
        "Imports": "market_importreport",
        "Ticks": "market_tick",
        "Live bars": "market_livebar",
    },
    "System": {
        "Audit trail": "market_auditevent",
        "Leases": "market_lease",
        "Idempotency keys": "market_idempotencykey",
    },
}
PEOPLE = {"Users": "auth_user", "Groups": "auth_group", "API tokens": "knox_authtoken"}
QUEUE = {"Failed tasks": "django_q_failure", "Schedules": "django_q_schedule"}
if "redis" not in settings.Q_CLUSTER:  # a Redis queue has no rows to show
    QUEUE = {"Queued tasks": "django_q_ormq", **QUEUE}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the menu; people and queue only for superusers."""
    groups = {**GROUPS, "People": PEOPLE, "Queue": QUEUE} if request.user.is_superuser else GROUPS
    return [
        {
            "title": title,
            "collapsible": title not in ("Trading", "Accounts"),
            "items": [
                {"title": name, "link": reverse(f"admin:{model}_changelist")} for name, model in items.items()
            ],
        }
        for title, items in groups.items()
    ]
