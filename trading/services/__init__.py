"""What people may do with sessions. Acts leave audit rows; the caller has checked whose session it is."""

from trading.services.control import (
    flatten_session,
    pause_session,
    resume_from_halt,
    resume_session,
    stop_all,
    stop_session,
)
from trading.services.reconcile import reconcile_account
from trading.services.start import default_profile, start_session

__all__ = ["default_profile", "flatten_session", "pause_session", "reconcile_account", "resume_from_halt",
           "resume_session", "start_session", "stop_all", "stop_session"]  # fmt: skip
