"""What can go wrong with a venue. The class of an error names the next move, its text is for people.

`had_no_effect` says whether a refused or failed order is certainly not on the venue. `OutcomeUnknown` alone
says False: then the venue must be asked and nothing may be sent again.
"""

from typing import ClassVar


class ExchangeError(Exception):
    """Any failure of a venue call. No message ever holds a key, a secret or a signature."""

    next_move: ClassVar[str] = "look at the venue's words"
    had_no_effect: ClassVar[bool] = True


class Unreachable(ExchangeError):
    """A read got no answer, or a write was never sent."""

    next_move = "try again later"


class Throttled(ExchangeError):
    """Too many calls; nothing was done."""

    next_move = "wait, then try again"

    def __init__(self, wait_s: float, message: str = "too many calls a minute") -> None:
        super().__init__(f"{message}: wait {wait_s:.0f} s")
        self.wait_s = wait_s


class OutcomeUnknown(ExchangeError):
    """A write was sent and not answered in a way that can be understood: it may or may not have happened."""

    next_move = "ask the venue what became of it; do not send it again"
    had_no_effect = False


class OrderRejected(ExchangeError):
    """The venue, or the adapter before sending, said no to an order."""

    next_move = "record the venue's words; change the order"

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class BadCredentials(ExchangeError):
    """The venue does not accept the key or its signature."""

    next_move = "stop, and have a person check the key and the secret"


class BadAnswer(ExchangeError):
    """A read was answered with something malformed or incomplete: what it asked about is unknown."""

    next_move = "decide nothing on it; try again"


class ClockSkew(ExchangeError):
    """The venue refuses our time even after the clocks were compared afresh."""

    next_move = "compare this machine's clock with the venue's"


class VenueClosed(ExchangeError):
    """The venue, the pair or the account takes no orders at present."""

    next_move = "wait until trading is open, or have a person look at the account's permissions"
