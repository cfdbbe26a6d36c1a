"""The state machine of risk: on 10^5 random paths, compiled; and its rules one by one."""

from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numba.extending import register_jitable

from market.kernel import breakers, guards, instrument, rebalance, risk
from market.kernel.breakers import ACTIVE, HALTED, REDUCING, SAFE, Facts, Limits, OrderCaps

PATHS, STEPS = 100_000, 40
NO_MORE, ABOVE_A_CAP, LEFT_HALT, ABOVE_SAFE = 1, 2, 3, 4


def walk_under(limited_order):  # noqa: C901 - one loop: numba compiles it whole
    """Return the compiled walk of random portfolios whose orders `limited_order` limits."""
    for function in (
        instrument.step_count, instrument.floor_to_step, instrument.is_tradable, rebalance.closing_quantity,
        rebalance.order_quantity, risk.reduce_only, risk.drawdown_breach, risk.daily_loss_breach,
        risk.cap_exposure, breakers.halting, breakers.cautious, breakers.next_state, breakers._closing_part,
        breakers._opened, limited_order,
    ):  # fmt: skip
        register_jitable(function)
    halting, cautious, next_state = breakers.halting, breakers.cautious, breakers.next_state
    order_quantity, cap_exposure = rebalance.order_quantity, risk.cap_exposure

    @njit(error_model="numpy")
    def walk(paths, steps, seed):  # noqa: C901 - as above
        """Return how often each promise was broken, and how many steps were spent in each state."""
        np.random.seed(seed)
        broken, spent = np.zeros(6, np.int64), np.zeros(4, np.int64)
        for _ in range(paths):
            is_short = np.random.random() < 0.5
            limits = Limits(
                0.05 * np.random.random(),
                0.1 * np.random.random(),
                0.2 * np.random.random(),
                0.1 * np.random.random(),
                np.random.randint(0, 4),
                0.5,
                0.0,
                0.0,
                0.0,
                0.0,
            )
            caps = OrderCaps(
                0.05 + np.random.random(),
                20_000.0 * np.random.random() * np.random.randint(0, 2),
                0.2 + np.random.random(),
                0.1 * np.random.random(),
            )
            max_exposure = 0.1 + 0.9 * np.random.random()
            price, cash, held, state = 100.0, 10_000.0, 0.0, ACTIVE
            day = week = peak = caution_peak = 10_000.0
            losses = safe_until = 0
            for now in range(steps):
                price *= np.exp(0.03 * np.random.standard_normal())
                equity = cash + held * price
                peak, caution_peak = max(peak, equity), max(caution_peak, equity)
                errors = -1.0 if np.random.random() < 0.9 else np.random.random()
                facts = Facts(equity, day, week, peak, caution_peak, losses, errors, -1.0, -1.0, -1.0, -1.0)
                caution = cautious(facts, limits)
                after = next_state(
                    state, halting(facts, limits), caution, abs(held) < 1e-9, now >= safe_until
                )
                if state == HALTED and after != HALTED:
                    broken[LEFT_HALT] += 1
                if state == REDUCING and after < REDUCING:
                    broken[LEFT_HALT] += 1
                if caution and after == SAFE:
                    safe_until, caution_peak, losses = now + 5, equity, 0
                state = after
                spent[state] += 1
                low = -1.0 if is_short else 0.0
                target = low + (1.0 - low) * np.random.random()
                target = 0.0 if state == REDUCING and np.random.random() < 0.3 else target
                target, _c = cap_exposure(target, max_exposure)
                quantity = order_quantity(target, cash, held, price, 1e-5, 1.0, 0.001, 1e-9)
                quantity, _c = limited_order(
                    quantity, held, price, equity, caps, state, np.random.random() < 0.9, 1e-5, 1e-9
                )
                before, value = abs(held), abs(held + quantity) * price
                if state >= REDUCING and (abs(held + quantity) > before or quantity * held > 0):
                    broken[NO_MORE] += 1
                grows = (quantity * held >= 0 and quantity != 0) or abs(quantity) > before + 1e-9
                if grows and equity > 0:
                    room = max_exposure * equity
                    room = min(room, caps.max_leverage * equity)
                    if caps.max_position > 0:
                        room = min(room, caps.max_position)
                    if value > room + 1e-6 * equity:
                        broken[ABOVE_A_CAP] += 1
                    if state == SAFE and value > caps.safe_share * equity + 1e-6 * equity:
                        broken[ABOVE_SAFE] += 1
                if quantity * held < 0:
                    losses = losses + 1 if np.random.random() < 0.6 else 0
                cash -= quantity * price + 0.001 * abs(quantity * price)
                held += quantity
        return broken, spent

    return walk


def test_on_a_hundred_thousand_paths_no_promise_is_broken():
    broken, spent = walk_under(breakers.limited_order)(PATHS, STEPS, 1)
    assert broken.tolist() == [0] * 6
    assert (spent > PATHS // 10).all(), "every state must have been visited often"


def without_any_limit(quantity, held, price, equity, caps, state, is_entry_allowed, step, guard):
    return quantity, risk.OK


def without_the_state(quantity, held, price, equity, caps, state, is_entry_allowed, step, guard):
    """Keep the caps; whatever the state, an order passes as in ACTIVE."""
    return breakers.limited_order(quantity, held, price, equity, caps, ACTIVE, True, step, guard)


@pytest.mark.parametrize(
    ("rule", "noticed"),
    [(without_any_limit, {NO_MORE, ABOVE_A_CAP, ABOVE_SAFE}), (without_the_state, {NO_MORE, ABOVE_SAFE})],
)
def test_the_walk_would_notice_a_broken_promise(rule, noticed):
    register_jitable(breakers.limited_order)
    broken, _ = walk_under(rule)(PATHS // 100, STEPS, 1)
    assert set(np.flatnonzero(broken).tolist()) == noticed


numbers = st.integers(0, 10_000_000).map(lambda n: D(n) / 1000)
signed = st.integers(-1_000_000, 1_000_000).map(lambda n: n * D("0.001"))


@given(quantity=signed, held=signed, price=numbers, equity=numbers, state=st.sampled_from(range(4)),
       share=st.integers(1, 100), is_allowed=st.booleans())  # fmt: skip
@settings(max_examples=200)
def test_an_order_is_never_enlarged_nor_turned(quantity, held, price, equity, state, share, is_allowed):
    caps = OrderCaps(D(share) / 100, D(0), D(1), D(5) / 100)
    cut, code = breakers.limited_order(
        quantity, held, price, equity, caps, state, is_allowed, D("0.001"), D(0)
    )
    assert cut * quantity >= 0
    assert abs(cut) <= abs(quantity)
    assert (cut == quantity) or code != risk.OK
    if held * quantity < 0 and abs(quantity) <= abs(held):
        assert cut == quantity, "what only closes is never cut"


@given(target=st.floats(-1, 1), exposure=st.floats(-1, 1), state=st.sampled_from(range(4)),
       share=st.floats(0, 1), is_allowed=st.booleans())  # fmt: skip
@settings(max_examples=200)
def test_a_target_grows_only_where_the_state_lets_it(target, exposure, state, share, is_allowed):
    allowed, _ = breakers.limited_target(target, exposure, state, is_allowed, share)
    assert abs(allowed) <= max(abs(target), abs(exposure))
    if state >= REDUCING or not is_allowed:
        assert abs(allowed) <= abs(exposure)
        assert allowed * exposure >= 0
    if state == SAFE:
        assert abs(allowed) <= max(share, abs(exposure))


NOTHING = Limits(*[D(0)] * 10)
CALM = Facts(*[D(1000)] * 5, 0, *[-1] * 5)


@pytest.mark.parametrize(
    ("limit", "fact", "code"),
    [
        ({"daily_loss": D("0.05")}, {"equity": D(950)}, risk.DAILY_LOSS),
        ({"weekly_loss": D("0.05")}, {"equity": D(950)}, breakers.WEEKLY_LOSS),
        ({"max_drawdown": D("0.05")}, {"equity": D(950)}, risk.DRAWDOWN),
    ],
)
def test_what_halts(limit, fact, code):
    assert breakers.halting(CALM, NOTHING._replace(**limit)) == risk.OK
    assert breakers.halting(CALM._replace(equity=D("950.01")), NOTHING._replace(**limit)) == risk.OK
    assert breakers.halting(CALM._replace(**fact), NOTHING._replace(**limit)) == code
    assert breakers.halting(CALM._replace(**fact), NOTHING) == risk.OK


@pytest.mark.parametrize(
    ("limit", "below", "above", "code"),
    [
        ({"safe_drawdown": D("0.05")}, {"equity": D(951)}, {"equity": D(950)}, breakers.SAFE_DRAWDOWN),
        ({"max_loss_streak": 3}, {"losses": 2}, {"losses": 3}, breakers.LOSS_STREAK),
        ({"max_error_share": 0.5}, {"error_share": 0.4}, {"error_share": 0.5}, breakers.VENUE_ERRORS),
        ({"min_entropy": 0.2}, {"entropy": 0.2}, {"entropy": 0.1}, breakers.LOW_ENTROPY),
        ({"max_psi": 0.25}, {"psi": 0.25}, {"psi": 0.3}, breakers.PSI),
        ({"max_ks": 0.3}, {"ks": 0.3}, {"ks": 0.31}, breakers.KS),
        ({"max_turnover": 3}, {"turnover": 3}, {"turnover": 3.1}, breakers.TURNOVER),
    ],
)
def test_what_asks_for_caution(limit, below, above, code):
    limits = NOTHING._replace(**limit)
    assert breakers.cautious(CALM._replace(**below), limits) == risk.OK
    assert breakers.cautious(CALM._replace(**above), limits) == code
    assert breakers.cautious(CALM, limits) == risk.OK, "what is not known trips nothing"
    assert breakers.cautious(CALM._replace(**above), NOTHING) == risk.OK


def test_safe_mode_ends_after_its_cool_down_and_a_halt_never():
    assert breakers.next_state(ACTIVE, 0, breakers.KS, False, True) == SAFE
    assert breakers.next_state(SAFE, 0, 0, False, False) == SAFE
    assert breakers.next_state(SAFE, 0, 0, False, True) == ACTIVE
    assert breakers.next_state(SAFE, risk.DRAWDOWN, 0, False, True) == REDUCING
    assert breakers.next_state(REDUCING, 0, 0, True, True) == HALTED
    assert breakers.next_state(HALTED, 0, 0, True, True) == HALTED


FRESH = guards.Entry(0, D(0), D(-1), -1, -1, 0)
OFF = guards.Guards(*[0] * 6)


@pytest.mark.parametrize(
    ("limit", "fact", "code"),
    [
        ({"max_age_ms": 3000}, {"age_ms": 3001}, guards.STALE),
        ({"max_spread": D("0.01")}, {"spread": D("0.011")}, guards.WIDE_SPREAD),
        ({"price_collar": D("0.05")}, {"deviation": D("0.06")}, guards.OFF_PRICE),
        ({"exit_cooldown_ms": 1000}, {"since_exit_ms": 999}, guards.AFTER_EXIT),
        ({"loss_cooldown_ms": 1000}, {"since_loss_ms": 0}, guards.AFTER_LOSS),
        ({"max_trades_per_day": 3}, {"trades_today": 3}, guards.BUSY_DAY),
    ],
)
def test_what_forbids_an_entry(limit, fact, code):
    assert guards.entry_refusal(FRESH._replace(**fact), OFF._replace(**limit)) == code
    assert guards.entry_refusal(FRESH, OFF._replace(**limit)) == risk.OK
    assert guards.entry_refusal(FRESH._replace(**fact), OFF) == risk.OK


def test_a_deviation_needs_a_reference():
    assert guards.deviation(D(105), D(100)) == D("0.05")
    assert guards.deviation(D(105), D(0)) == -1
