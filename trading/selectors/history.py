"""What has happened to a session: changes of its risk state, and wishes that took several orders."""

from decimal import Decimal

from django.db.models import QuerySet, Sum, Value
from django.db.models.functions import Abs, Coalesce

from market.models import AuditEvent
from trading.models import LiveSession, ParentOrder, ParentStatus
from trading.states import RESUME_FROM_HALT, RISK_CHANGE


def risk_changes(session: LiveSession) -> QuerySet[AuditEvent]:
    """Return every change of its risk state, by a limit or by a person, newest first."""
    events = AuditEvent.objects.filter(object_type="livesession", object_id=str(session.pk))
    return events.filter(action__in=[RISK_CHANGE, RESUME_FROM_HALT]).select_related("actor")


def parents_of(session: LiveSession) -> QuerySet[ParentOrder]:
    """Return its parent orders, newest first, with what each has traded as `traded`."""
    traded = Sum(Abs("children__fills__quantity"))
    return session.parents.annotate(traded=Coalesce(traded, Value(Decimal(0))))


def given_up(session: LiveSession) -> QuerySet[ParentOrder]:
    """Return the wishes that ended before all of them was traded, newest first."""
    return parents_of(session).filter(status=ParentStatus.ENDED)
