"""What each specialist of a team is paid for."""

from dataclasses import dataclass

import numpy as np

from agents.envs.settings import EnvSettings
from market.errors import BadInput
from market.kernel.quotes import Quoting
from market.kernel.reward import Terms


@dataclass(frozen=True, slots=True)
class TeamRules:
    """The specialists in order, and their rewards: weighted terms of their slice, or of a quoting desk."""

    names: tuple[str, ...]
    terms: tuple[Terms, ...]
    desks: tuple[
        bool, ...
    ]  # True: paid by a virtual desk that quotes around its wish, see market.kernel.quotes
    quoting: Quoting

    def __len__(self) -> int:
        return len(self.names)


def require_shareable(settings: EnvSettings) -> None:
    """:raises BadInput: for a market or actions that specialists cannot share"""
    if settings.is_futures:
        raise BadInput(
            "a team shares an account on the spot market: leverage and liquidation belong to one position, "
            "so leave trading.market at spot",
            "market",
        )
    if settings.action.kind != "levels":
        raise BadInput(
            "specialists ask for exposures, which can be weighed; holding cannot: set action.kind to levels",
            "action",
        )


def bounds(settings: EnvSettings) -> np.ndarray:
    """Return the lowest and highest exposure that a desk may reach, float64 (2,); being flat is allowed."""
    levels = settings.allowed_action.levels
    return np.array([min(0.0, levels[0]), max(0.0, levels[-1])])
