"""Whether a spec counts bars as if its candles were of another length."""

from agents.spec.presets import PRESETS
from agents.spec.training import TrainingSpec

HORIZON = ("episode_bars", "decision_every", "bars_scale")  # counted in bars


def horizon_notes(spec: TrainingSpec) -> list[str]:
    """Return a sentence where a complete spec counts bars as a preset for candles of another length does.

    It goes by the numbers, so that neither a spec file nor a chosen interval hides where they come from.
    """
    asked = {key: getattr(spec, key) for key in HORIZON}
    made_for = {
        str(known["interval"]): name
        for name, known in reversed(PRESETS.items())  # of several the first listed
        if "interval" in known and _bars(known) == asked
    }
    if not made_for or spec.interval in made_for:
        return []
    interval, name = next(iter(made_for.items()))
    return [
        f"Episodes ({spec.episode_bars} bars), decisions (one in {spec.decision_every}) and the time scale "
        f"({spec.bars_scale:g} bars) are those of the preset {name}, made for candles of {interval}: these "
        f"are of {spec.interval}."
    ]


def _bars(preset: dict[str, object]) -> dict[str, object]:
    fields = TrainingSpec.model_fields
    return {key: preset.get(key, fields[key].default) for key in HORIZON}
