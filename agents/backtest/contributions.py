"""What each specialist of a team contributed to an account: what its slices earned, decision by decision."""

from collections.abc import Sequence

import numpy as np

from agents.policies.council.votes import Tally
from market.kernel.portfolio import equity
from market.kernel.step import Book, Fill
from market.kernel.team import WIDTH, handed_out, shared_bar, slice_worth


class Contributions:
    """Follows an account that a team trades on the spot market; contributions add up to its result."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.earned = np.zeros(len(names))  # quote currency
        self._slices = np.zeros((len(names), WIDTH))
        self._weights, self._wishes = [0.0] * len(names), [0.0] * len(names)
        self._at_first, self._is_decision = 0.0, False
        self._weighed, self._decisions = np.zeros(len(names)), 0

    def decided(self, tally: Tally, exposure: float, book: Book, close: float) -> None:
        """Settle what the last slices earned, and hand out new ones as the team decides at a close."""
        self._settle(close)
        self._weights = [vote.weight for vote in tally.votes]
        self._wishes = [exposure if vote.target is None else vote.target for vote in tally.votes]
        handed_out(self._slices, self._weights, book, close)
        self._at_first, self._is_decision = equity(book.cash, book.held, close), True
        self._weighed += self._weights
        self._decisions += 1

    def bar(self, book: Book, order: Fill, exit: Fill, open: float) -> None:
        """Let the slices take part in a bar's fills. :param book: before the bar"""
        if self._decisions:
            shared_bar(self._slices, self._wishes, self._weights, self._is_decision, book, order, exit, open)
        self._is_decision = False

    def finished(self, close: float) -> tuple[dict[str, float], dict[str, float]]:
        """Return what each specialist earned, quote currency, and its mean weight."""
        self._settle(close)
        weights = self._weighed / max(self._decisions, 1)
        return (
            dict(zip(self.names, self.earned.tolist(), strict=True)),
            dict(zip(self.names, weights.tolist(), strict=True)),
        )

    def _settle(self, close: float) -> None:
        for at, weight in enumerate(self._weights):
            self.earned[at] += weight * (slice_worth(self._slices, at, close) - self._at_first)
        self._weights = [0.0] * len(self.names)
