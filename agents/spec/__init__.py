"""What a training run is asked to do (training), in sections (parts), over a preset (presets,
overrides), read from and written to files (files, versions), fit for its candles or not (horizons)."""

from agents.spec.algorithms import ALGORITHMS, KNOWN
from agents.spec.devices import DEVICES
from agents.spec.errors import first_error
from agents.spec.files import read_file, read_text, written
from agents.spec.horizons import horizon_notes
from agents.spec.overrides import apply_overrides, key_values, over_preset
from agents.spec.parts import Breakers, Fraction, Part, Trading
from agents.spec.presets import PRESETS
from agents.spec.training import TrainingSpec, setting_names

__all__ = [
    "ALGORITHMS",
    "DEVICES",
    "KNOWN",
    "PRESETS",
    "Breakers",
    "Fraction",
    "Part",
    "Trading",
    "TrainingSpec",
    "apply_overrides",
    "first_error",
    "horizon_notes",
    "key_values",
    "over_preset",
    "read_file",
    "read_text",
    "setting_names",
    "written",
]
