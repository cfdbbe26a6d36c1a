"""How a backtest trades: costs, exits, gate, limits, and a fixed rule's own parameters."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.decide import DECISION_KEYS, DecisionSettings
from agents.envs.settings import EnvSettings
from agents.spec import Fraction, Part, Trading, first_error, setting_names
from market.errors import BadInput
from market.kernel.breakers import Limits as KernelLimits
from market.kernel.guards import Guards

Span = Annotated[float, Field(ge=0, le=30 * 86_400)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Limits(Part):
    """Breakers on marked equity and guards of entries, named as in a risk profile; 0 switches one off.

    Once a loss limit is reached the position is left for good: nobody is there to resume.
    """

    daily_loss: Fraction = 0.0  # of the equity at the start of the UTC day
    weekly_loss: Fraction = 0.0  # of the equity at the start of the UTC week
    max_drawdown: Fraction = 0.0  # of the peak of equity
    safe_drawdown: Fraction = 0.0  # of the peak since safe mode was last entered
    safe_share: Fraction = 0.05  # of equity that a position may reach in safe mode
    safe_cooldown_s: Span = 3600.0
    max_loss_streak: Count = 0  # closing fills with a loss in a row, then safe mode
    exit_cooldown_s: Span = 0.0  # no entry for so long after an exit
    loss_cooldown_s: Span = 0.0  # or after one with a loss
    max_trades_per_day: Count = 0

    def breakers(self) -> KernelLimits:
        """Return the kernel's limits; what only a live session knows is off."""
        return KernelLimits(
            self.daily_loss, self.weekly_loss, self.max_drawdown, self.safe_drawdown, self.max_loss_streak,
            max_error_share=0, min_entropy=0, max_psi=0, max_ks=0, max_turnover=0,
        )  # fmt: skip

    def guards(self) -> Guards:
        """Return the kernel's guards of an entry; a backtest has no spread, no stale price."""
        return Guards(
            max_age_ms=0,
            max_spread=0,
            price_collar=0,
            exit_cooldown_ms=self.exit_cooldown_s * 1000,
            loss_cooldown_ms=self.loss_cooldown_s * 1000,
            max_trades_per_day=self.max_trades_per_day,
        )


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
