"""What the `live` cluster runs, and on `default` what sessions leave behind.

Delivered twice, late or never: leases and supervisor make it harmless.
"""

from trading.runner import idle, loop


def drive() -> int:
    """Drive every session nobody drives for one slice; return the turns taken."""
    return loop.drive()


def check_books(account_id: int) -> bool:
    """Settle and compare an account that no session is driven on; False when that must wait."""
    return idle.check(account_id)
