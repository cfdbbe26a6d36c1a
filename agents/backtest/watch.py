"""Breakers and entry guards over a backtest: the kernel's rules with the memory they need."""

from agents.backtest.settings import Limits
from market.kernel import breakers
from market.kernel.guards import Entry, entry_refusal
from market.kernel.portfolio import realised
from market.kernel.risk import OK
from market.kernel.step import Book, Fill

DAY_MS, WEEK_MS = 86_400_000, 7 * 86_400_000
MONDAY_MS = 4 * DAY_MS  # the first Monday after the epoch, which was a Thursday
UNKNOWN = -1


class Watch:
    """What the breakers remember of one account: marks of day and week, losses, cool-downs."""

    def __init__(self, limits: Limits, cash: float) -> None:
        self.limits, self.guards, self.safe_share = limits.breakers(), limits.guards(), limits.safe_share
        self.cooldown_ms = limits.safe_cooldown_s * 1000
        self.state = breakers.ACTIVE
        self.day_equity = self.week_equity = self.caution_peak = cash
        self.losses = self.trades_today = self.safe_modes = 0
        self.safe_until_ms = 0.0
        self.exit_ms = self.loss_ms = -1

    def see_fills(self, before: Book, order: Fill, exit: Fill, at_ms: int) -> None:
        """Remember what one bar's fills closed, and with what outcome."""
        held, entry = before.held, before.entry
        for fill in (order, exit):
            if not fill.quantity:
                continue
            self.trades_today += 1
            if held * fill.quantity < 0:
                is_loss = realised(entry, held, fill.quantity, fill.price) < fill.fee
                self.losses = self.losses + 1 if is_loss else 0
                self.exit_ms = at_ms
                self.loss_ms = at_ms if is_loss else self.loss_ms
            elif held == 0:
                entry = fill.price
            held += fill.quantity

    def see_close(self, worth: float, peak: float, is_flat: bool, close_ms: int, interval_ms: int) -> int:
        """Mark the account at a close and move its state on; return the code of what halts, else OK."""
        self.caution_peak = max(self.caution_peak, worth)
        facts = breakers.Facts(
            worth, self.day_equity, self.week_equity, peak, self.caution_peak, self.losses,
            UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
        )  # fmt: skip
        halt, caution = breakers.halting(facts, self.limits), breakers.cautious(facts, self.limits)
        before, is_cool = self.state, close_ms >= self.safe_until_ms
        self.state = breakers.next_state(before, halt, caution, is_flat, is_cool)
        if caution != OK and self.state == breakers.SAFE:
            self.safe_until_ms = close_ms + self.cooldown_ms
            self.safe_modes += before != breakers.SAFE
            self.caution_peak = worth if caution == breakers.SAFE_DRAWDOWN else self.caution_peak
            self.losses = 0 if caution == breakers.LOSS_STREAK else self.losses
        if close_ms % DAY_MS < interval_ms:  # this close began a UTC day
            self.day_equity, self.trades_today = worth, 0
        if (close_ms - MONDAY_MS) % WEEK_MS < interval_ms:
            self.week_equity = worth
        return halt

    def allowed(self, target: float, exposure: float, at_ms: int) -> float:
        """Return the exposure to trade towards: the wished one, or what state and guards leave of it."""
        entry = Entry(
            age_ms=0,
            spread=0,
            deviation=UNKNOWN,
            since_exit_ms=at_ms - self.exit_ms if self.exit_ms >= 0 else UNKNOWN,
            since_loss_ms=at_ms - self.loss_ms if self.loss_ms >= 0 else UNKNOWN,
            trades_today=self.trades_today,
        )
        is_entry_allowed = entry_refusal(entry, self.guards) == OK
        target, _ = breakers.limited_target(target, exposure, self.state, is_entry_allowed, self.safe_share)
        return target
