"""Clients of the API, and one of everything."""

import io

import pytest
import yaml
from django.core.cache import cache
from django.core.management import call_command
from rest_framework.test import APIClient

from market.web.roles import Role
from tests import factories


@pytest.fixture(autouse=True)
def fresh_throttles():
    cache.clear()


class Description(dict):
    """The parsed description; its repr is short because failure messages hold it."""

    def __repr__(self):
        return "<schema>"


@pytest.fixture(scope="module")
def schema():
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    return Description(yaml.safe_load(out.getvalue()))


@pytest.fixture
def ada(db):
    return factories.UserFactory(username="ada", role=Role.ADMIN)


@pytest.fixture
def stranger(db):
    return factories.UserFactory(username="sam", role=Role.ADMIN)


@pytest.fixture
def world(ada):
    run = factories.RunFactory(owner=ada, series__owner=ada)
    session = factories.lived_in_session(ada)
    rule = factories.RuleFactory(channel__owner=ada)
    return {
        "sessions": session,
        "training-runs": run,
        "experiments": factories.ExperimentFactory(owner=ada),
        "models": session.model,
        "backtests": factories.BacktestFactory(owner=ada),
        "council": (review := factories.ReviewFactory(owner=ada)).council,
        "council-reviews": review,
        "series": run.series,
        "imports": factories.ImportFactory(owner=ada),
        "accounts": session.account,
        "risk-profiles": session.risk,
        "alerts": session.alerts.get(),
        "alert-channels": rule.channel,
        "alert-rules": rule,
        "alert-deliveries": factories.DeliveryFactory(channel=rule.channel, alert=session.alerts.get()),
        "plans": factories.PlanFactory(owner=ada),
        "exposure-caps": factories.CapFactory(owner=ada),
        "approvals": factories.WaitingFactory(session=session),
        "stuck-orders": factories.StuckFactory(session=session),
    }


def client_of(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def api(ada):
    return client_of(ada)


@pytest.fixture
def foreign(stranger):
    return client_of(stranger)
