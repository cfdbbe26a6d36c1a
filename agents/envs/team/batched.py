"""Many accounts, each shared by a team, stepped together."""

import numpy as np

from agents.envs.batched import BatchedMarket, PackedMarket, Stepped
from agents.envs.settings import EnvSettings
from agents.envs.team.rules import TeamRules, bounds, require_shareable
from market.kernel import batch_team
from market.kernel.plan import Track
from market.kernel.team import WIDTH


class TeamMarket(BatchedMarket):
    """N accounts of `agents.envs.team.single.TeamEnv`, with equal observations, rewards and ends.

    A step takes proposals, integers (N, M), under the weights last given to `weigh`. Beside what it returns
    it leaves fresh arrays: `own_rewards`, float32 (N, M), of the specialists, and `growths`, float64 (N, M),
    of their slices over the decision.
    """

    def __init__(
        self, market: PackedMarket, settings: EnvSettings, team: TeamRules, accounts: int, seed: int = 0
    ) -> None:
        """:raises BadInput: for rules that no team can share, or less than one account"""
        require_shareable(settings)
        super().__init__(market, settings, accounts, seed)
        self.team, size = team, (accounts, len(team))
        self._moments = np.zeros((accounts, 3))
        self._tracks = np.zeros((accounts, len(Track._fields)))
        self._own_moments, self._slices = np.zeros((*size, 3)), np.zeros((*size, WIDTH))
        self._own_terms = np.array(team.terms, dtype=np.float64)
        self._desks = np.array(team.desks, dtype=np.uint8)
        self._quoting, self._bounds = np.array(team.quoting, dtype=np.float64), bounds(settings)
        self.weights = np.full(size, 1.0 / len(team))
        self.own_rewards, self.growths = np.zeros(size, np.float32), np.ones(size)

    def reset(self, seed: int | None = None) -> np.ndarray:
        self._own_moments[:] = self._slices[:] = 0.0
        return super().reset(seed)

    def weigh(self, weights: np.ndarray) -> None:
        """Have the next decisions taken under these shares of the account, (N, M), each row summing to 1."""
        self.weights = np.array(np.broadcast_to(weights, self.weights.shape), dtype=np.float64, order="C")

    def step(self, actions: np.ndarray) -> Stepped:
        """Take one joint decision per account. :param actions: proposals, integers (N, M)"""
        places = np.asarray(actions, dtype=np.int64).reshape(self.weights.shape)
        if places.min() < 0 or places.max() >= len(self._table):
            raise ValueError(f"actions must lie in 0..{len(self._table) - 1}")
        self.own_rewards = np.empty(self.weights.shape, np.float32)
        self.growths = np.empty(self.weights.shape)
        observations = self._empty()
        rewards, ends = np.empty(self.size, np.float32), np.empty(self.size, np.uint8)
        advance = batch_team.advance_watched if self.settings.is_watched else batch_team.advance
        ended = advance(
            self._table[places], self.weights, self._starts, *self.market[:2], self._ranges, self._opens,
            self._columns, self._whole, self._tracks, self._moments, self._watches, self._own_moments,
            self._slices, self._rules, self._plan, self._watching, self._terms, self._own_terms, self._desks,
            self._quoting, self._bounds, self._task, self._draw(self.turn + 1), observations, rewards,
            self.own_rewards, self.growths, ends, self.last_observations,
        )  # fmt: skip
        self.turn += 1
        return Stepped(observations, rewards, ends, ended)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {**super()._arrays(), "own_moments": self._own_moments, "slices": self._slices}
