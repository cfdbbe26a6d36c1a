"""How a backtest trades: costs, exits, gate, limits, and a fixed rule's own parameters."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.decide import DECISION_KEYS, DecisionSettings
from agents.envs.settings import EnvSettings
from agents.spec import Fraction, Part, Trading, first_error
from market.errors import BadInput


class Limits(Part):
    """Loss limits on marked equity, 0 switches one off. Once one is reached the position is left for good."""

    daily_loss: Fraction = 0.0  # of the equity at the start of the UTC day
    max_drawdown: Fraction = 0.0  # of the peak of equity


class BacktestSettings(BaseModel):
    """Complete settings; `parse` also takes them flat (`{"fee_rate": 0.002, "confidence": 0.6}`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trading: Trading = Trading()
    limits: Limits = Limits()
    decision: dict[str, Any] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)  # of a baseline

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, trading: Trading | None = None) -> "BacktestSettings":
        """Return checked settings.

        :param trading: the rules to start from, a model's own; `values` are laid over them
        :raises BadInput: for an unknown key, or a value that makes no sense
        """
        nested: dict[str, Any] = {"trading": (trading or Trading()).model_dump(), "limits": {}}
        nested |= {"decision": {}, "params": {}}
        for key, value in values.items():
            section = _section(key, value)
            nested[section].update(value if key == section else {key: value})
        try:
            settings = cls.model_validate(nested)
        except ValidationError as error:
            raise first_error(error) from None
        settings.env_settings()
        return settings.model_copy(update={"decision": settings.decision_settings().to_dict()})

    def decision_settings(self) -> DecisionSettings:
        return DecisionSettings.from_dict(self.decision)

    def env_settings(self) -> EnvSettings:
        """Return the rules the kernel needs. :raises BadInput: when they contradict each other"""
        return EnvSettings(**self.trading.model_dump())


def _section(key: str, value: Any) -> str:
    """Return the part of the settings a key belongs to; what is in none must be a rule's parameter."""
    if key in BacktestSettings.model_fields:
        if not isinstance(value, Mapping):
            raise BadInput(f"{key} must be an object of settings", key)
        return key
    homes = {"trading": Trading.model_fields, "limits": Limits.model_fields, "decision": DECISION_KEYS}
    return next((section for section, keys in homes.items() if key in keys), "params")
