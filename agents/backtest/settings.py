"""How a backtest trades: costs, exits, gate, limits, and a fixed rule's own parameters."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.decide import DECISION_KEYS, DecisionSettings
from agents.envs.settings import CAPS, EnvSettings, watch_rules
from agents.spec import Breakers, Fraction, Trading, first_error, setting_names
from market.errors import BadInput
from market.kernel.watch import WatchRules


class Limits(Breakers):
    """Breakers on marked equity and guards of entries.

    Once a loss limit is reached the position is left for good: nobody is there to resume.
    """

    max_drawdown: Fraction = 0.0  # of the peak of equity

    def watch_rules(self) -> WatchRules:
        """Return the kernel's breakers and entry guards."""
        return watch_rules(self.model_dump())

    def caps(self) -> dict[str, float]:
        """Return the caps on one order and on the position behind it, by their names among the rules."""
        return {name: float(getattr(self, name)) for name in CAPS}


class BacktestSettings(BaseModel):
    """Complete settings; `parse` also takes them flat (`{"fee_rate": 0.002, "confidence": 0.6}`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trading: Trading = Trading()
    limits: Limits = Limits()
    decision: dict[str, Any] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)  # of a baseline

    @classmethod
    def parse(
        cls, values: Mapping[str, Any], *, trained: Mapping[str, Any] | None = None
    ) -> "BacktestSettings":
        """Return checked settings.

        :param trained: a training spec, whose rules of trading and limits `values` are laid over
        :raises BadInput: for an unknown key, or a value that makes no sense
        """
        known = trained or {}
        nested: dict[str, Any] = {"trading": dict(known.get("trading", {}))}
        nested |= {"limits": dict(known.get("limits", {})), "decision": {}, "params": {}}
        if values.get("style", "market") != "market":
            raise BadInput(
                "backtests fill at the next bar's open, as market orders: how a limit or split order would "
                "have filled inside a bar is not in the candles, so leave the style out",
                "style",
            )
        for key, value in values.items():
            if key == "style":
                continue
            section = _section(key, value)
            nested[section].update(value if key == section else {key: value})
        try:
            settings = cls.model_validate(nested)
        except ValidationError as error:
            raise first_error(error, setting_names(cls)) from None
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
