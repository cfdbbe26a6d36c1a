"""What accounts that are stepped together have in common: starts, costs, exact states, random numbers."""

from typing import Any, NamedTuple

import numpy as np

from agents.envs.rows import start_range
from agents.envs.settings import EnvSettings
from agents.spaces import ActionSpec
from market.errors import BadInput
from market.kernel.step import Rules

GOES_ON, TERMINATED, TRUNCATED = 0, 1, 2
COSTS = ("fee_rate", "half_spread", "slippage")


class Stepped(NamedTuple):
    """What one step of N accounts gave. Arrays are fresh at every step and belong to the caller."""

    observations: np.ndarray  # float32 (N, D); where an episode ended, the first one of the next episode
    rewards: np.ndarray  # float32 (N,)
    ends: np.ndarray  # uint8 (N,): GOES_ON, TERMINATED or TRUNCATED
    ended: int  # how many episodes ended


class Accounts:
    """N accounts on one market of `bars` rows, at one decision each per step.

    An account whose episode ended starts the next one at once; its last observation stays in
    `last_observations`. Starts are drawn from (seed, step number, account) alone, so that `state()` is exact.
    """

    _counts: np.ndarray  # int32 (N, ...): the row an account stands at comes first

    def __init__(
        self, settings: EnvSettings, bars: int, accounts: int, observation_size: int, seed: int
    ) -> None:
        """:raises BadInput: for no account, or too few bars for an episode"""
        if accounts < 1:
            raise BadInput("a batched market needs at least one account", "n_envs")
        self.settings, self.bars, self.size, self.seed = settings, bars, accounts, seed
        self.action: ActionSpec = settings.allowed_action
        self.observation_size = observation_size
        self._rules = np.array(settings.rules())
        first, last = start_range(bars, settings)
        self._starts = np.arange(first, last + 1, dtype=np.int32)
        self.turn = -1  # steps and resets since seeding
        self.last_observations = np.zeros((accounts, observation_size), np.float32)

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Begin an episode in every account; return observations, float32 (N, D).

        A seed starts its sequence of episodes over, none goes on with the present one.
        """
        self.turn = self.turn + 1 if seed is None else 0
        self.seed = self.seed if seed is None else seed
        return self._begin(self._draw(self.turn))

    def step(self, actions: np.ndarray) -> Stepped:
        """Take one decision per account."""
        raise NotImplementedError

    def observations(self) -> np.ndarray:
        """Return the present observations, float32 (N, D), as after `set_state`."""
        raise NotImplementedError

    def _begin(self, draw: int) -> np.ndarray:
        raise NotImplementedError

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return by name what changes from step to step."""
        raise NotImplementedError

    def set_starts(self, rows: np.ndarray) -> None:
        """Have later episodes start at one of these rows, int32 (K,). `state` does not hold them.

        :raises ValueError: for a row that leaves no whole episode or window
        """
        first, last = start_range(self.bars, self.settings)
        if not len(rows) or rows.min() < first or rows.max() > last:
            raise ValueError(f"episodes start in rows {first}..{last}")
        self._starts = np.ascontiguousarray(rows, dtype=np.int32)

    def set_costs(self, share: float) -> None:
        """Charge only a share of fee, half spread and slippage from now on; `state` does not hold it.

        :raises ValueError: for a share outside 0..1
        """
        if not 0.0 <= share <= 1.0:
            raise ValueError("the share of costs must lie in 0..1")
        for name in COSTS:
            self._rules[Rules._fields.index(name)] = share * getattr(self.settings, name)

    def state(self) -> dict[str, Any]:
        """Return everything that `set_state` needs to continue exactly; arrays are copies."""
        arrays = {name: array.copy() for name, array in self._arrays().items()}
        return {"seed": self.seed, "turn": self.turn, **arrays}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        :raises BadInput: if it came from another number of accounts
        """
        for name, array in self._arrays().items():
            found = np.shape(state[name])
            if found != array.shape:
                raise BadInput(f"the saved market has {name} of shape {found}, not {array.shape}", "n_envs")
            array[:] = state[name]
        self.seed, self.turn = int(state["seed"]), int(state["turn"])

    @property
    def rows(self) -> np.ndarray:
        """Return the row each account stands at, int32 (N,)."""
        return self._counts[:, 0].copy()

    def _draw(self, turn: int) -> int:
        """Return the number that a step's starts are drawn from; it depends on seed and step alone."""
        return (self.seed * 0x9E3779B97F4A7C15 + turn * 0xBF58476D1CE4E5B9) % 2**63
