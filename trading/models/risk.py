"""Risk profiles: the limits a session trades under."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from market import plans
from market.models import OwnedQuerySet
from trading.models.positions import PositionFields, positions_in_range

SHARE = "between 0 and 1 (0.02 is 2 %)"
RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {  # field: (is allowed, what is allowed)
    "max_exposure": (lambda x: 0 < x <= 1, "above 0 and at most 1 (1 is all of the equity)"),
    "max_order_share": (lambda x: 0 < x <= 1, "above 0 and at most 1 (1 is all of the equity)"),
    "stop_loss": (lambda x: 0 <= x < 1, SHARE),
    "take_profit": (lambda x: 0 <= x <= 1000, "between 0 and 1000 (0.03 is 3 %)"),
    "trailing_stop": (lambda x: 0 <= x < 1, SHARE),
    "min_confidence": (lambda x: 0 <= x <= 1, SHARE),
    "min_move": (lambda x: 0 <= x < 1, "from 0 to below 1 (0.001 is 0.1 %)"),
    "min_move_bars": (lambda x: 1 <= x <= 10_000, "from 1 to 10,000"),
    "daily_loss": (lambda x: 0 <= x <= 1, SHARE),
    "max_drawdown": (lambda x: 0 <= x <= 1, SHARE),
    "max_stale_s": (lambda x: 0 < x <= 86_400, "above 0 seconds and at most a day (86,400)"),
    "max_spread": (lambda x: 0 <= x <= 1, "between 0 and 1 (0.005 is 0.5 %)"),
    "max_trades_per_day": (lambda x: 0 <= x <= 1_000_000, "from 0 (no limit) to 1,000,000"),
    "entry_stale_s": (lambda x: 0 < x <= 86_400, "above 0 seconds and at most a day (86,400)"),
    "exit_cooldown_s": (lambda x: 0 <= x <= 2_592_000, "from 0 (off) to 30 days (2,592,000 seconds)"),
    "loss_cooldown_s": (lambda x: 0 <= x <= 2_592_000, "from 0 (off) to 30 days (2,592,000 seconds)"),
    "max_position": (lambda x: 0 <= x <= 1e12, "from 0 (no limit) to 10^12 of the quote currency"),
    "max_leverage": (lambda x: 0 < x <= 1, "above 0 and at most 1 (sessions trade without leverage)"),
    "price_collar": (lambda x: 0 <= x <= 1, "between 0 and 1 (0.05 is 5 %)"),
    "weekly_loss": (lambda x: 0 <= x <= 1, SHARE),
    "safe_drawdown": (lambda x: 0 <= x <= 1, SHARE),
    "safe_share": (lambda x: 0 <= x <= 1, SHARE),
    "safe_cooldown_s": (lambda x: 0 <= x <= 2_592_000, "from 0 to 30 days (2,592,000 seconds)"),
    "max_loss_streak": (lambda x: 0 <= x <= 10_000, "from 0 (off) to 10,000"),
    "max_error_share": (lambda x: 0 <= x <= 1, "between 0 (off) and 1 (0.5 is every other call)"),
    "min_entropy": (lambda x: 0 <= x < 1, "from 0 (off) to below 1 (1 is undecided, 0 is always sure)"),
    "max_psi": (lambda x: 0 <= x <= 100, "from 0 (off) to 100 (above 0.25 is a shift)"),
    "max_ks": (lambda x: 0 <= x <= 1, "between 0 (off) and 1"),
    "max_turnover": (lambda x: 0 <= x <= 1000, "from 0 (off) to 1000 (3 is three times the validated one)"),
    "approval_above": (lambda x: 0 <= x <= 1e12, "from 0 (off) to 10^12 of the quote currency"),
    "approval_s": (lambda x: 1 <= x <= 604_800, "from 1 second to a week (604,800)"),
    **{name: (partial(plans.is_allowed, name), allowed.words) for name, allowed in plans.RANGES.items()},
}


def out_of_range(values: dict[str, Any]) -> dict[str, str]:
    """Return {field: sentence} for every limit that is not within its range, or contradicts another one."""
    wrong = {
        name: f"This must be {allowed}; it is {values[name]}."
        for name, (is_allowed, allowed) in RANGES.items()
        if values.get(name) is not None and not is_allowed(values[name])
    }
    found = None if wrong else plans.contradiction({**values, "trailing": values.get("trailing_stop")})
    return {found[0]: f"{found[1]}."} if found else wrong


class RiskProfile(PositionFields):
    """Limits and sizes as fractions (0.02 = 2 %). 0 switches a stop or a limit off."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
    name = models.CharField(max_length=80)
    max_exposure = models.FloatField(default=1.0)  # of the session's equity
    max_order_share = models.FloatField(default=1.0)  # of the session's equity, per order
    stop_loss = models.FloatField(default=0.02)
    take_profit = models.FloatField(default=0.0)
    trailing_stop = models.FloatField(default=0.0)
    min_confidence = models.FloatField(default=0.0)  # of the chosen action's probability
    min_move = models.FloatField(default=0.0)  # of price over `min_move_bars`, else the agent holds
    min_move_bars = models.PositiveIntegerField(default=15)
    daily_loss = models.FloatField(default=0.05)
    max_drawdown = models.FloatField(default=0.20)
    max_stale_s = models.FloatField(default=30.0)  # venue clock; an older price is unknown
    max_spread = models.FloatField(default=0.005)
    max_trades_per_day = models.PositiveIntegerField(default=0)
    # Entry guards: they forbid entries, never exits.
    entry_stale_s = models.FloatField(default=3.0)  # real time, also at a venue whose clock runs faster
    exit_cooldown_s = models.FloatField(default=0.0)  # venue clock, after any exit
    loss_cooldown_s = models.FloatField(default=0.0)  # venue clock, after an exit with a loss
    max_position = models.FloatField(default=0.0)  # quote currency
    max_leverage = models.FloatField(default=1.0)  # position over equity; live there is no leverage
    price_collar = models.FloatField(
        default=0.05
    )  # of the last close; approved orders: of the expected price
    # Breakers: see market.kernel.breakers.
    weekly_loss = models.FloatField(default=0.10)
    safe_drawdown = models.FloatField(default=0.0)
    safe_share = models.FloatField(default=0.05)  # of equity that a position may reach in safe mode
    safe_cooldown_s = models.FloatField(default=3600.0)  # venue clock
    max_loss_streak = models.PositiveIntegerField(default=0)
    max_error_share = models.FloatField(default=0.5)  # of the latest turns
    min_entropy = models.FloatField(default=0.0)
    max_psi = models.FloatField(default=0.0)
    max_ks = models.FloatField(default=0.0)
    max_turnover = models.FloatField(default=0.0)  # multiple of the validation backtest's
    # Manual approval of entries.
    approval_above = models.FloatField(default=0.0)  # quote currency
    approval_s = models.FloatField(default=900.0)  # real time people have

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="risk_profile_once_per_owner"),
            models.CheckConstraint(
                name="risk_profile_fractions",
                condition=Q(
                    max_exposure__gt=0, max_exposure__lte=1, max_order_share__gt=0, max_order_share__lte=1
                )
                & Q(
                    stop_loss__gte=0,
                    stop_loss__lt=1,
                    take_profit__gte=0,
                    trailing_stop__gte=0,
                    trailing_stop__lt=1,
                )
                & Q(min_confidence__gte=0, min_confidence__lte=1, min_move__gte=0, min_move_bars__gte=1)
                & Q(daily_loss__gte=0, daily_loss__lte=1, max_drawdown__gte=0, max_drawdown__lte=1)
                & Q(max_stale_s__gt=0, max_spread__gte=0),
            ),
            models.CheckConstraint(name="risk_profile_positions", condition=positions_in_range()),
            models.CheckConstraint(
                name="risk_profile_guards",
                condition=Q(entry_stale_s__gt=0, exit_cooldown_s__gte=0, loss_cooldown_s__gte=0)
                & Q(max_position__gte=0, max_leverage__gt=0, price_collar__gte=0, price_collar__lte=1)
                & Q(approval_above__gte=0, approval_s__gte=1),
            ),
            models.CheckConstraint(
                name="risk_profile_breakers",
                condition=Q(weekly_loss__gte=0, weekly_loss__lte=1)
                & Q(safe_drawdown__gte=0, safe_drawdown__lte=1, safe_share__gte=0, safe_share__lte=1)
                & Q(safe_cooldown_s__gte=0, max_loss_streak__gte=0)
                & Q(max_error_share__gte=0, max_error_share__lte=1, min_entropy__gte=0, min_entropy__lt=1)
                & Q(max_psi__gte=0, max_ks__gte=0, max_ks__lte=1, max_turnover__gte=0),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Say which limit is out of its range; the constraint stands behind it.

        :raises ValidationError: with one sentence per field.
        """
        if wrong := out_of_range(vars(self)):
            raise ValidationError(wrong)
