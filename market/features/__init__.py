"""Features: causal rows of numbers that describe the market to an agent, the same in training and live."""

from market.features.batch import compute
from market.features.cache import cached
from market.features.catalogue import CATALOGUE
from market.features.presets import PRESETS, preset
from market.features.scaler import Scaler
from market.features.specs import FeatureSet, FeatureSpec
from market.features.stream import Stream

__all__ = [
    "CATALOGUE",
    "PRESETS",
    "FeatureSet",
    "FeatureSpec",
    "Scaler",
    "Stream",
    "cached",
    "compute",
    "preset",
]
