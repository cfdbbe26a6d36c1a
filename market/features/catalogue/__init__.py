"""Every kind of feature, by family. Importing this package fills `CATALOGUE`."""

from market.features.catalogue import (  # noqa: F401  imported for their registrations
    averages,
    bands,
    calendar,
    cycles,
    momentum,
    oscillators,
    returns,
    statistics,
    volatility,
    volume,
)
from market.features.kinds import CATALOGUE

__all__ = ["CATALOGUE"]
