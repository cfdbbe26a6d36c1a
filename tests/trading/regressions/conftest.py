"""A session on a real sandbox whose clock stands still until a test moves it."""

from tests.trading.live.conftest import account, live, venue

__all__ = ["account", "live", "venue"]
