"""Sizing and exits of a risk profile: `market.plans` states names, defaults and ranges."""

from dataclasses import asdict
from typing import Any

from django.db import models
from django.db.models import Q

from market.plans import RANGES, SWITCHES, PositionRules

DEFAULTS = asdict(PositionRules())


class PositionFields(models.Model):
    """`market.kernel.plan.Plan` says what each one does; 0 is off."""

    stop_atr = models.FloatField(default=DEFAULTS["stop_atr"])
    trailing_atr = models.FloatField(default=DEFAULTS["trailing_atr"])
    trail_step = models.FloatField(default=DEFAULTS["trail_step"])
    reward_ratio = models.FloatField(default=DEFAULTS["reward_ratio"])
    break_even = models.FloatField(default=DEFAULTS["break_even"])
    max_bars = models.PositiveIntegerField(default=DEFAULTS["max_bars"])
    atr_bars = models.PositiveIntegerField(default=DEFAULTS["atr_bars"])
    size_fraction = models.FloatField(default=DEFAULTS["size_fraction"])
    risk_per_trade = models.FloatField(default=DEFAULTS["risk_per_trade"])
    volatility_target = models.FloatField(default=DEFAULTS["volatility_target"])
    kelly_fraction = models.FloatField(default=DEFAULTS["kelly_fraction"])
    kelly_cap = models.FloatField(default=DEFAULTS["kelly_cap"])
    kelly_trades = models.PositiveIntegerField(default=DEFAULTS["kelly_trades"])
    kelly_min_trades = models.PositiveIntegerField(default=DEFAULTS["kelly_min_trades"])
    streak_losses = models.PositiveIntegerField(default=DEFAULTS["streak_losses"])
    streak_factor = models.FloatField(default=DEFAULTS["streak_factor"])
    resize_band = models.FloatField(default=DEFAULTS["resize_band"])
    dca_lots = models.PositiveIntegerField(default=DEFAULTS["dca_lots"])
    dca_first = models.FloatField(default=DEFAULTS["dca_first"])
    dca_spacing = models.FloatField(default=DEFAULTS["dca_spacing"])
    dca_growth = models.FloatField(default=DEFAULTS["dca_growth"])
    dca_reluctance = models.FloatField(default=DEFAULTS["dca_reluctance"])
    dca_profit = models.FloatField(default=DEFAULTS["dca_profit"])
    dca_max_loss = models.FloatField(default=DEFAULTS["dca_max_loss"])

    class Meta:
        abstract = True

    @property
    def switched_on(self) -> str:
        """Return which of these rules are on, with their values."""
        found = {name: getattr(self, name) for name in SWITCHES}
        return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in found.items() if value)


def positions_in_range() -> Q:
    """Return the condition that every one of these fields is within its range."""
    bounds: dict[str, Any] = {f"{name}__gte": allowed.low for name, allowed in RANGES.items()}
    return Q(**bounds, **{f"{name}__lte": allowed.high for name, allowed in RANGES.items()})
