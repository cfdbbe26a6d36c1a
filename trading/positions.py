"""A session's row as the kernel reads it, and back: books, memory, rules, levels. All Decimal."""

from decimal import Context, Decimal
from operator import attrgetter
from typing import Any

from market import plans
from market.kernel import sizing, triggers
from market.kernel.instrument import Instrument
from market.kernel.plan import Plan, Track, closed
from market.kernel.portfolio import equity, exposure_of
from market.kernel.step import Book, Rules
from trading.models import LiveSession, RiskProfile
from trading.numbers import exact

ROUND = Context(prec=14)  # statistics are no balances: 14 digits survive every database
ZERO = Decimal(0)
SWITCHES, NEEDS_ATR = attrgetter(*plans.SWITCHES), attrgetter(*plans.NEEDS_ATR)
NO_PLAN = Plan._make([ZERO] * len(Plan._fields))
FIELDS = ("stop_kind", "bracket_price", "open_equity", "lots", "lot_price", "trades_closed", "win_share",
          "mean_gain", "mean_loss", "losses_open")  # in the order of `Track`  # fmt: skip


def values_of(profile: RiskProfile) -> dict[str, Any]:
    """Return the profile's settings of sizing and exits, by the names that environment and backtest use."""
    found = {name: getattr(profile, name) for name in plans.RANGES}
    return {**found, "stop_loss": profile.stop_loss, "trailing": profile.trailing_stop}


def plan_of(profile: RiskProfile) -> Plan:
    """Return the profile's plan; most have none."""
    return plans.plan_of(values_of(profile), exact) if has_plan(profile) else NO_PLAN


def has_plan(profile: RiskProfile) -> bool:
    """Say whether any of the rules of `market.plans` is switched on."""
    return any(SWITCHES(profile))


def needs_atr(profile: RiskProfile) -> bool:
    return any(NEEDS_ATR(profile))


def rules_of(profile: RiskProfile, instrument: Instrument) -> Rules:
    """Return the kernel's rules; quotes carry their own spread, and `trading.risk.size` cuts the orders."""
    return Rules(
        tick=instrument.tick,
        step=instrument.step,
        min_notional=instrument.min_notional,
        fee_rate=instrument.taker_fee,
        fee_step=instrument.fee_step,
        half_spread=ZERO,
        slippage=ZERO,
        stop_loss=exact(profile.stop_loss),
        take_profit=exact(profile.take_profit),
        trailing=exact(profile.trailing_stop),
        max_order_share=ZERO,
        max_position=ZERO,
        guard=ZERO,
    )


def book_of(session: LiveSession) -> Book:
    return Book(
        session.cash, session.held, session.entry_price, session.bars_held, session.peak_equity,
        session.high_water, session.stop_price,
    )  # fmt: skip


def track_of(session: LiveSession) -> Track:
    return Track._make([getattr(session, name) for name in FIELDS])


def remember(session: LiveSession, track: Track) -> list[str]:
    """Write the memory of the rules onto the row, unsaved; return the names of its fields."""
    for name, value in zip(FIELDS, track, strict=True):
        setattr(session, name, ROUND.plus(value) if isinstance(value, Decimal) else value)
    return list(FIELDS)


def rest(session: LiveSession, price: Decimal) -> None:
    """Close the position's memory where all that is left is too little to be sold.

    Whatever is bought next is a position of its own: with a new stop and a new count, after a closed trade.
    """
    session.stop_price = session.take_price = ZERO
    session.bars_held, session.high_water, session.levels, session.take_kind = 0, price, {}, 0
    if session.open_equity <= 0:
        return
    before = {"held": session.held, "open_equity": session.open_equity}
    worth = equity(session.cash, session.held, price)
    names = remember(session, closed(track_of(session), worth, plan_of(session.risk)))
    mine = LiveSession.objects.filter(pk=session.pk, **before)
    mine.update(**{name: getattr(session, name) for name in names})


def follow_price(session: LiveSession, price: Decimal, instrument: Instrument) -> str:
    """Tighten the levels at the price it could be left at; return why it must be left now, or nothing."""
    if session.held == 0 or session.entry_price == 0:
        return ""
    rules, plan = rules_of(session.risk, instrument), plan_of(session.risk)
    if session.plan_id is not None:  # a cycle counts from the session's money, which the plan moves
        plan = plan._replace(dca_lots=ZERO)
    book, track = book_of(session), track_of(session)
    stop, kind, take, goal, bracket = triggers.levels(book, track, session.atr, rules, plan)
    _, reason = triggers.bar_leave(book, price, price, price, stop, kind, take, goal, plan)
    session.stop_price, session.stop_kind, session.bracket_price = stop, int(kind), bracket
    session.levels = _each_level(session, rules, plan, stop, kind, take, goal)
    session.take_price, session.take_kind = take, int(goal) if take > 0 else 0
    side = 1 if session.held > 0 else -1
    session.high_water = triggers.best_price(session.high_water, price, price, side)
    return triggers.EXIT_REASONS[reason]


def _each_level(
    session: LiveSession, rules: Rules, plan: Plan, stop: Decimal, kind: int, take: Decimal, goal: int
) -> dict[str, str]:
    """Return {rule: price} of every level in force, the acting ones and those behind them."""
    found = {kind: stop, goal: take}
    if plan.is_on:
        found.setdefault(triggers.BRACKET, session.bracket_price)
        book, track = book_of(session)._replace(stop=ZERO), track_of(session)._replace(take=ZERO)
        for one in _alone(rules, plan):
            level, rule, target, aim, _ = triggers.levels(book, track, session.atr, *one)
            for name, price in ((rule, level), (aim, target)):
                if price > 0:
                    found.setdefault(name, price)
    shown = {
        triggers.EXIT_REASONS[rule]: f"{ROUND.plus(price).normalize():f}"
        for rule, price in sorted(found.items())
        if rule and price > 0
    }
    if plan.max_bars > 0:
        shown[triggers.EXIT_REASONS[triggers.TIME]] = f"{max(int(plan.max_bars) - session.bars_held, 0)} bars"
    return shown


def _alone(rules: Rules, plan: Plan) -> list[tuple[Rules, Plan]]:
    """Return the rules with one exit at a time left on."""
    bare = rules._replace(stop_loss=ZERO, take_profit=ZERO, trailing=ZERO)
    none = Plan._make([ZERO] * len(Plan._fields))._replace(is_on=Decimal(1), trail_step=plan.trail_step)
    cycle = {name: getattr(plan, name) for name in Plan._fields if name.startswith("dca_")}
    plain = ("stop_loss", "take_profit", "trailing")
    return [
        *((bare._replace(**{name: getattr(rules, name)}), none) for name in plain),
        *((bare, none._replace(**{name: getattr(plan, name)})) for name in ("trailing_atr", "break_even")),
        (bare, none._replace(**cycle)),
    ]


def sized(
    session: LiveSession,
    wish: Decimal,
    price: Decimal,
    instrument: Instrument,
    conviction: float,
    band: float,
) -> tuple[bool, Decimal, list[str]]:
    """Return (is there an order, target exposure, reasons) of a wish under the profile's rules on size."""
    plan = plan_of(session.risk)
    if not plan.is_on or (wish == 0 and session.held == 0):
        return True, wish, []
    if needs_atr(session.risk) and session.atr <= 0 and wish != 0:
        return False, wish, ["the average true range is not known yet: nothing is entered"]
    held = exposure_of(session.cash, session.held, price)
    is_order, target, code = sizing.sized_order(
        wish, held, exact(band), book_of(session), track_of(session), price, session.atr, exact(conviction),
        rules_of(session.risk, instrument), plan,
    )  # fmt: skip
    return is_order, target, sizing.reasons(code)
