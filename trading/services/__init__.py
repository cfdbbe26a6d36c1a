"""What people may do with sessions. Acts leave audit rows; the caller has checked whose session it is."""

from trading.services.approvals import approve_order, reject_order
from trading.services.caps import lift_cap, set_cap
from trading.services.control import (
    flatten_session,
    pause_session,
    resume_from_halt,
    resume_session,
    stop_all,
    stop_session,
)
from trading.services.ending import end_order
from trading.services.plans import pause_plan, resume_plan, start_plan, stop_plan
from trading.services.reconcile import reconcile_account
from trading.services.start import default_profile, start_session

__all__ = ["approve_order", "default_profile", "end_order", "flatten_session", "lift_cap", "pause_plan",
           "pause_session", "reconcile_account", "reject_order", "resume_from_halt", "resume_plan",
           "resume_session", "set_cap", "start_plan", "start_session", "stop_all", "stop_plan",
           "stop_session"]  # fmt: skip
