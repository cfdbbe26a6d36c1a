"""`manage.py stop_session SESSION`: end a session, with its position or without."""

import time
from typing import Any

from django.core.management.base import CommandParser

from market import leases
from market.commands import ProductCommand
from market.errors import BadInput
from trading import services
from trading.lookup import session_named
from trading.models import SessionStatus
from trading.states import DRIVEN

LOOK_S = 0.2
NOBODY_S = 15.0


class Command(ProductCommand):
    help = "Stop a session once its orders are settled; --flatten sells what it holds first."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", help="id or name")
        parser.add_argument("--flatten", action="store_true", help="sell what it holds, then stop")
        parser.add_argument("--wait", action="store_true", help="return when it has stopped")

    def run(self, **options: Any) -> dict[str, Any]:
        session = session_named(options["session"])
        services.stop_session(session=session, flatten=options["flatten"])
        waited_s = 0.0
        while options["wait"] and session.status in DRIVEN:
            if waited_s >= NOBODY_S and not leases.is_held(session.lease_name):
                raise BadInput(
                    "nobody drives the session: start the workers (manage.py workers), it stops then"
                )
            time.sleep(LOOK_S)
            waited_s += LOOK_S
            session.refresh_from_db()
        if session.status == SessionStatus.FAILED:
            raise BadInput(f"the session has failed: {session.note}")
        self.say(f"session {session.pk} ({session}) is {session.status}")
        return {"id": session.pk, "status": session.status, "held": session.held, "cash": session.cash}
