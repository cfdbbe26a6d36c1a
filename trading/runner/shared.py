"""Sessions of one model think together: whoever asks at the same time shares one forward of the network.

The first to ask lets every turn that is ready to compute come as far as its own question, then answers all.
Nobody waits for a session that waits for its venue. The answers are those of each alone, bit for bit.
"""

import threading
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from django.db import connection

from agents.policies.port import Opinion, Policy
from agents.policies.trained import NetworkPolicy
from trading.bars import NewestBars
from trading.runner.baton import Baton


class Question:
    """One observation, and the network's (output, value) once somebody has asked it."""

    def __init__(self, observation: np.ndarray) -> None:
        self.observation = observation
        self.answer: tuple[np.ndarray, float] | None = None
        self.is_over = threading.Event()


class SharedPolicy:
    """See `Policy`: a network's policy for all the sessions of a process. Asked under the baton."""

    def __init__(self, policy: NetworkPolicy, baton: Baton) -> None:
        self._policy, self._baton = policy, baton
        self._open: list[Question] = []
        self.questions = self.forwards = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        if connection.in_atomic_block:  # its lock would keep those away that we would wait for
            return self._policy.opine(observation, current_exposure, draw)
        mine = Question(observation)
        self._open.append(mine)
        if len(self._open) == 1:
            with self._baton.passed_on():
                pass
            self._answer()
        else:
            with self._baton.passed_on():
                mine.is_over.wait()
        if mine.answer is None:  # who should have answered failed
            return self._policy.opine(observation, current_exposure, draw)
        output, value = mine.answer
        return self._policy.opinion(output, value, current_exposure, draw)

    def _answer(self) -> None:
        asked, self._open = self._open, []
        try:
            outputs, values = self._policy.network.forward(np.stack([one.observation for one in asked]))
            for one, output, value in zip(asked, outputs, values.tolist(), strict=True):
                one.answer = (output, value)
            self.questions, self.forwards = self.questions + len(asked), self.forwards + 1
        finally:
            for one in asked:
                one.is_over.set()


class Minds:
    """What the sessions of this process share: one object per model, and the newest bars."""

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self._shared: WeakValueDictionary[str, SharedPolicy] = WeakValueDictionary()
        self.newest_bars: NewestBars = {}

    def shared(self, policy: Policy) -> Policy:
        """Return the object that stands for `policy` here; what is no network stays as it is."""
        if not isinstance(policy, NetworkPolicy):
            return policy
        return self._shared.setdefault(policy.policy_hash, SharedPolicy(policy, self._baton))
