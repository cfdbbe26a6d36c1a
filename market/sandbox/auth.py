"""How requests are signed: decode, keep what is documented, sort, rebuild the raw string, compare."""

import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl


def decoded(form: bytes) -> dict[str, str]:
    """Return the parameters of a query or form, percent-encoded or raw; the first of a name counts."""
    found: dict[str, str] = {}
    for key, value in parse_qsl(form.decode("utf-8", "replace"), keep_blank_values=True):
        found.setdefault(key, value)
    return found


def canonical(parameters: Mapping[str, str]) -> str:
    """Return the string to sign: `k=v` joined by `&`, sorted by key, values raw."""
    return "&".join(f"{key}={parameters[key]}" for key in sorted(parameters))


def signature(secret: str, parameters: Mapping[str, str]) -> str:
    """Return the lower-case hex HMAC-SHA256 of the canonical string."""
    return hmac.digest(secret.encode(), canonical(parameters).encode(), "sha256").hex()


def is_signed(secret: str, parameters: Mapping[str, str], documented: Iterable[str], claimed: str) -> bool:
    """Tell whether `claimed` signs the documented ones among `parameters`; undocumented ones never enter."""
    signed = {name: parameters[name] for name in documented if name in parameters}
    return hmac.compare_digest(signature(secret, signed).encode(), claimed.encode("utf-8", "replace"))


def is_timely(timestamp: str | None, now_ms: int, window_ms: float) -> bool:
    """Tell whether a request's 13-digit `timestamp` lies within the window around the venue's clock."""
    if timestamp is None or not (timestamp.isascii() and timestamp.isdigit()):
        return False
    return abs(now_ms - int(timestamp)) <= window_ms
