"""Calls per minute and account, counted on the sandbox's own clock."""

from collections import defaultdict, deque


class Limiter:
    """Allows `per_minute` calls per account in any 60 s; None allows all. Refused calls do not count."""

    def __init__(self, per_minute: int | None) -> None:
        self.per_minute = per_minute
        self._seen: defaultdict[str, deque[int]] = defaultdict(deque)

    def allows(self, account: str, now_ms: int) -> bool:
        if self.per_minute is None:
            return True
        seen = self._seen[account]
        while seen and seen[0] <= now_ms - 60_000:
            seen.popleft()
        if len(seen) >= self.per_minute:
            return False
        seen.append(now_ms)
        return True
