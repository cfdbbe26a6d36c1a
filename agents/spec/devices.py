"""What learns on a GPU: the rules that the market of tensors carries, and the algorithms that read it."""

from typing import TYPE_CHECKING, Literal

from agents.envs.settings import WATCHED, EnvSettings
from market.errors import BadInput

if TYPE_CHECKING:
    from agents.spec.training import TrainingSpec

Device = Literal["cpu", "auto", "cuda"]
DEVICES: dict[str, str] = {
    "cpu": "always the processor: exact and repeatable anywhere",
    "auto": "the GPU where there is one and the settings fit, else the processor",
    "cuda": "the GPU; where there is none the processor, and the run says so",
}
LEARNERS = ("ppo", "fast_ppo")
REMEMBERING = {  # rules that follow every closed trade, one account at a time
    "kelly_fraction": "Kelly sizing",
    "streak_losses": "sizes that shrink after losses",
    "dca_lots": "averaging cycles",
}


def not_carried(settings: EnvSettings) -> tuple[str, str] | None:
    """Return (setting, sentence) of the first rule that only the market on the CPU carries, or None."""
    if settings.is_futures:
        return (
            "trading.market",
            "the market on a GPU is the spot market, without leverage, funding and liquidation",
        )
    if settings.is_basket:
        return "pairs", "the market on a GPU holds one pair"
    for name, words in REMEMBERING.items():
        if getattr(settings, name):
            return f"trading.{name}", f"the market on a GPU knows no {words}"
    for name in WATCHED:
        if getattr(settings, name):
            return f"limits.{name}", "the market on a GPU knows no breakers and entry guards"
    return None


def require_carried(settings: EnvSettings) -> None:
    """:raises BadInput: naming the first rule that the market of tensors does not carry"""
    found = not_carried(settings)
    if found is not None:
        name, sentence = found
        raise BadInput(f"{sentence}: leave {name} out, or learn on the CPU", name)


def misfit(spec: "TrainingSpec") -> str:
    """Return why a spec cannot be learned on a GPU, in one sentence without its end; "" where it can."""
    if spec.algorithm not in LEARNERS:
        return f"{spec.algorithm} learns on the CPU; on a GPU {' and '.join(LEARNERS)} do"
    if spec.curriculum.stages != "off":
        return "the market on a GPU knows no curriculum stages (curriculum.stages)"
    found = not_carried(spec.env_settings())
    return "" if found is None else f"{found[1]} ({found[0]})"
