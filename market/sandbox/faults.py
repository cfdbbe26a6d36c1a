"""Faults on purpose: what goes wrong, on which paths, how often. Seeded: a failing run can be repeated."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from market.errors import BadInput

NAMES = (
    "latency_ms",  # the answer comes so much later
    "latency_before_ms",  # the request takes effect so much later
    "drop_before",  # connection closed, no effect
    "drop_after",  # the effect happens, connection closed without an answer
    "http_5xx_before",  # value: the status, 500 unless given; no effect
    "http_5xx_after",
    "http_429",  # refused as by the rate limiter
    "truncated_json",
    "malformed_json",
    "empty_wallet",
    "missing_pair",  # value: pair or list of pairs; anything else: all
    "stale_ticker",  # quotes stand still from the moment it is set
    "clock_skew_ms",  # ServerTime and the check of timestamps are off by so much
    "window_ms",  # timestamps may be off by so much, however fast the sandbox's clock runs
    "frozen_clock",  # the same two stand still from the moment it is set
    "is_running",  # value false: the exchange is closed
    "can_trade",  # value false, or a pair or list of pairs that are closed
    "no_permission",
)
ALIASES = {"429": "http_429", "5xx_before": "http_5xx_before", "5xx_after": "http_5xx_after"}
CLOSED_BY_FALSE = ("is_running", "can_trade")  # here false sets the fault and true clears it
MOST_MS = 10 * 365 * 86_400_000
MILLISECONDS = ("latency_ms", "latency_before_ms", "clock_skew_ms", "window_ms")


@dataclass(slots=True)
class Fault:
    """One active fault. `times` counts down to its end; `paths` are substrings of the request's path."""

    value: Any
    times: int | None = None
    paths: tuple[str, ...] = ()
    probability: float = 1.0
    seed: int = 0
    struck: int = 0
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - repeatable on purpose

    def strikes(self, path: str) -> bool:
        if self.paths and not any(part in path for part in self.paths):
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        if self.probability < 1.0 and self.random.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def as_dict(self) -> dict[str, Any]:
        return {"value": self.value, "times": self.times, "paths": list(self.paths),
                "probability": self.probability, "seed": self.seed, "struck": self.struck}  # fmt: skip


class Faults:
    """The faults now set."""

    def __init__(self) -> None:
        self._active: dict[str, Fault] = {}

    def strike(self, path: str) -> dict[str, Any]:
        """Return name and value of the faults that strike a request to `path`."""
        if not self._active:
            return {}
        return {name: fault.value for name, fault in self._active.items() if fault.strikes(path)}

    def change(self, wanted: dict[str, Any], now_ms: int) -> None:
        """Set and clear faults: `{name: value}` or `{name: {"value", "times", "paths", ...}}`.

        null (also false and 0, where they do not mean the fault itself) clears one, `clear: true` all.

        :raises BadInput: naming the part that is not understood; nothing is changed then.
        """
        changes = {}
        for name, given in wanted.items():
            if name != "clear":
                name = ALIASES.get(name, name)
                changes[name] = fault_of(name, given, now_ms)
        if wanted.get("clear"):
            self._active.clear()
        for name, fault in changes.items():
            self._active.pop(name, None)
            if fault is not None:
                self._active[name] = fault

    def as_dict(self) -> dict[str, Any]:
        return {name: fault.as_dict() for name, fault in self._active.items()}


def fault_of(name: str, given: Any, now_ms: int) -> Fault | None:
    """Return the fault described by `given`, or None where it clears.

    :raises BadInput: when it is not understood.
    """
    if name not in NAMES:
        raise BadInput(f"there is no fault named {name!r}; there are {', '.join(NAMES)}", field=name)
    options = dict(given) if isinstance(given, dict) else {"value": given}
    value = options.pop("value", name not in CLOSED_BY_FALSE)
    if name in CLOSED_BY_FALSE:
        if value is None or value is True:
            return None
    elif value is None or value is False or (value == 0 and name in MILLISECONDS):
        return None
    if name in ("stale_ticker", "frozen_clock") and value is True:
        value = now_ms
    unknown = set(options) - {"times", "paths", "probability", "seed"}
    if unknown:
        raise BadInput(f"fault {name}: unknown option {sorted(unknown)[0]!r}", field=name)
    paths = options.get("paths") or ()
    try:
        return _checked(
            name,
            value=float(value) if name in MILLISECONDS else value,
            times=None if options.get("times") is None else int(options["times"]),
            paths=(paths,) if isinstance(paths, str) else tuple(map(str, paths)),
            probability=float(options.get("probability", 1.0)),
            seed=int(options.get("seed", 0)),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"fault {name}: {error}", field=name) from error


def _checked(name: str, **given: Any) -> Fault:
    """:raises BadInput: for a number out of its range."""
    value = given["value"]
    least = -MOST_MS if name == "clock_skew_ms" else 0
    if name in MILLISECONDS and not least <= value <= MOST_MS:
        raise BadInput(f"fault {name}: the value must be from {least} to {MOST_MS} milliseconds", field=name)
    if given["times"] is not None and given["times"] < 0:
        raise BadInput(f"fault {name}: times must be 0 or more", field=name)
    if not 0 <= given["probability"] <= 1:
        raise BadInput(f"fault {name}: the probability must be from 0 to 1", field=name)
    return Fault(**given)
