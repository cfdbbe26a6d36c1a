"""What the `live` cluster runs. Delivered twice, late or never: leases and supervisor make it harmless."""

from trading.runner import loop


def drive() -> int:
    """Drive every session nobody drives for one slice; return the turns taken."""
    return loop.drive()
