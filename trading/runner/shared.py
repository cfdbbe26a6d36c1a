"""Sessions of one model think together: whoever asks first has the network asked for all that will ask next.

When a bar has closed, the sessions in line can say what they are going to ask: their observation follows from
the bars they share and from their books. One forward answers them all. A session that asks something else
when its turn comes, because an order has filled meanwhile, is answered alone. The answers are those of each
alone, bit for bit, and nobody waits for anybody: handing the baton on costs more than a network of this size.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from agents.policies.port import Opinion, Policy
from agents.policies.trained import NetworkPolicy
from trading.deciding import Foreseen, foreseen
from trading.feeds import Feeds
from trading.seat import Seat

KEPT = 1024  # answers that wait to be asked for, beside those of the newest bar
Foresight = Callable[[], Foreseen | None]


class SharedPolicy:
    """See `Policy`: a network's policy for all the sessions of a process. Asked under the baton."""

    def __init__(self, policy: NetworkPolicy, feeds: Feeds) -> None:
        self._policy, self._feeds = policy, feeds
        self._bars = -1  # the feeds had taken in when all were asked
        self._askers: dict[int, Foresight] = {}
        self._answers: dict[bytes, tuple[list[float], float]] = {}
        self.questions = self.forwards = self.foretold = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def expect(self, session_id: int, foresee: Foresight) -> None:
        """Take a session in.

        :param foresee: returns what it is going to ask, once a bar, or None
        """
        self._askers[session_id] = foresee

    def forget(self, session_id: int) -> None:
        """Let a session go."""
        self._askers.pop(session_id, None)

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        self.questions += 1
        key = observation.tobytes()
        output, value = self._answers.pop(key) if key in self._answers else self._asked(observation)
        return self._policy.opinion(output, value, current_exposure, draw)

    def _asked(self, observation: np.ndarray) -> tuple[list[float], float]:
        """Ask the network; after a new bar for the others as well."""
        others: list[Foreseen] = []
        if self._bars != self._feeds.bars:
            self._bars = self._feeds.bars
            others = [seen for foresee in self._askers.values() if (seen := foresee()) is not None]
        self.forwards += 1
        if not others:
            return self._policy.network.answer(observation)
        outputs, values = self._policy.network.forward(
            np.stack([observation, *(seen.observation for seen in others)])
        )
        answers = list(zip(outputs.tolist(), values.tolist(), strict=True))
        keys = [seen.observation.tobytes() for seen in others]
        for seen, answer in zip(others, answers[1:], strict=True):
            seen.hear(*answer)
        self.foretold += 1
        kept = list(self._answers.items())[-KEPT:]  # what nobody has asked with in the end goes
        self._answers = dict(kept) | dict(zip(keys, answers[1:], strict=True))
        return answers[0]


class Minds:
    """What the sessions of this process share: one object per model, and the bars."""

    def __init__(self) -> None:
        self._shared: WeakValueDictionary[str, SharedPolicy] = WeakValueDictionary()
        self.feeds = Feeds()

    @property
    def foretold(self) -> int:
        """Return a number that grows whenever it becomes known what sessions are about to wish."""
        return sum(policy.foretold for policy in list(self._shared.values()))

    def expect(self, seat: Seat) -> None:
        """Let a session be thought for together with the others of its model."""
        if isinstance(seat.decider.policy, SharedPolicy):
            seat.decider.policy.expect(seat.session.pk, partial(foreseen, seat))

    def forget(self, seat: Seat) -> None:
        """Take back `expect`."""
        if isinstance(seat.decider.policy, SharedPolicy):
            seat.decider.policy.forget(seat.session.pk)

    def shared(self, policy: Policy) -> Policy:
        """Return the object that stands for `policy` here; what is no network stays as it is."""
        if not isinstance(policy, NetworkPolicy):
            return policy
        return self._shared.setdefault(policy.policy_hash, SharedPolicy(policy, self.feeds))
