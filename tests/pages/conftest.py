"""People and what they own, for tests of pages."""

import pytest

from market.web.roles import Role
from tests import factories


@pytest.fixture
def ada(db):
    return factories.UserFactory(username="ada", role=Role.ADMIN)


@pytest.fixture
def operator(db):
    return factories.UserFactory(username="otto", role=Role.OPERATOR)


@pytest.fixture
def stranger(db):
    return factories.UserFactory(username="sam", role=Role.ADMIN)


@pytest.fixture
def boss(db):
    user = factories.UserFactory(username="boss", is_superuser=True, is_staff=True)
    return user


@pytest.fixture
def world(ada):
    """One of everything, owned by ada."""
    run = factories.RunFactory(owner=ada, series__owner=ada)
    session = factories.lived_in_session(ada)
    rule = factories.RuleFactory(channel__owner=ada)
    factories.DeliveryFactory(channel=rule.channel, alert=session.alerts.get())
    return {
        "session": session,
        "decision": session.decisions.get(),
        "run": run,
        "experiment": factories.ExperimentFactory(owner=ada),
        "model": session.model,
        "backtest": factories.BacktestFactory(owner=ada),
        "council": (review := factories.ReviewFactory(owner=ada)).council,
        "council-review": review,
        "series": run.series,
        "import": factories.ImportFactory(owner=ada),
        "account": session.account,
        "risk": session.risk,
        "channel": rule.channel,
        "plan": factories.PlanFactory(owner=ada),
        "rule": rule,
    }


@pytest.fixture
def as_ada(client, ada):
    client.force_login(ada)
    return client


@pytest.fixture
def as_boss(client, boss):
    client.force_login(boss)
    return client
