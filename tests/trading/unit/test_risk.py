"""The limits of a session on random paths."""

from decimal import Decimal as D
from unittest.mock import patch

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from market import plans
from market.kernel import breakers as kernel_breakers
from market.kernel import risk as kernel_risk
from market.kernel.futures import Margin, cap_at
from market.kernel.instrument import Instrument
from market.kernel.portfolio import equity
from market.kernel.step import fill_price, step_bar
from trading import breakers, positions, risk
from trading.exchanges.port import Quote
from trading.models import LiveSession, RiskProfile, RiskState
from trading.numbers import exact, percent

RULES = Instrument("BTC/USD", "BTC", "USD", *map(D, ("0.01", "0.00001", "1", "0.001", "0.0005", "0.000001")))
prices = st.integers(1_000, 10_000_000).map(lambda n: D(n) / 100)
held = st.integers(0, 500_000).map(lambda n: n * RULES.step)
cash = st.integers(0, 10**9).map(lambda n: D(n) / 100)
targets = st.floats(0, 1)


def session_of(cash, held, state=RiskState.ACTIVE, **limits):
    profile = RiskProfile(**{"max_spread": 1.0, **limits})
    return LiveSession(pair="BTC/USD", cash=cash, held=held, entry_price=D(1), risk=profile, risk_state=state)


@given(st.dictionaries(st.sampled_from(plans.SWITCHES), st.sampled_from([0, 0.0, 0.5, 1])))
def test_a_profile_is_read_as_its_settings_say_whether_or_not_any_is_on(settings):
    profile = RiskProfile(**settings)
    values = positions.values_of(profile)
    plan = positions.plan_of(profile)
    assert plan == plans.plan_of(values, exact)
    assert {type(number) for number in plan} == {D}
    assert positions.needs_atr(profile) == plans.needs_atr(values)
    assert positions.has_plan(profile) == plans.is_on(values) == bool(plan.is_on)


@given(wish=st.decimals(-1, 1, places=6), price=prices, held=held, cash=cash, conviction=st.floats(0, 1))
def test_without_rules_on_size_a_wish_is_left_as_it_is(wish, price, held, cash, conviction):
    """So `size` does not ask them."""
    session = session_of(cash, held)
    assert positions.sized(session, wish, price, RULES, conviction, 0.01) == (True, wish, [])


def look(session, equity, is_flat=False, now_ms=0, error_share=-1.0):
    return breakers.look(session, equity, is_flat=is_flat, now_ms=now_ms, error_share=error_share)


def quote_of(price, spread=D("0.0001")):
    half = (price * spread / 2).quantize(D("0.01"))
    return Quote("BTC/USD", price - half, price + half, price, 0)


@given(
    price=prices,
    held=held,
    cash=cash,
    target=targets,
    state=st.sampled_from([RiskState.REDUCING, RiskState.HALTED]),
)
@settings(max_examples=150)
def test_no_order_increases_exposure_unless_the_session_is_active(price, held, cash, target, state):
    session = session_of(cash, held, state)
    sized = risk.size(session, target, quote_of(price), RULES, trades_today=0)
    assert -held <= sized.quantity <= 0


@given(
    price=prices, cash=st.integers(-(10**6), 10**9).map(lambda n: D(n) / 100),
    target=st.sampled_from([0.0, -0.0]), state=st.sampled_from(list(RiskState)),
    is_sized=st.booleans(),
    limits=st.dictionaries(st.sampled_from(plans.SWITCHES), st.sampled_from([0, 0.5, 1])),
)  # fmt: skip
@settings(max_examples=150)
def test_who_is_flat_and_wants_to_be_is_answered_as_the_rules_would(
    price, cash, target, state, is_sized, limits
):
    session = session_of(cash, D(0), state, **limits)
    quote = quote_of(price)
    asked = {"trades_today": 0, "entry": None, "conviction": 0.3, "band": 0.01, "is_sized": is_sized}
    at_once = risk.size(session, target, quote, RULES, **asked)
    assert at_once == risk._under_rules(session, target, quote, RULES, **asked)
    assert at_once.quantity == 0


@given(price=prices, held=held, cash=cash, target=targets, cap=st.floats(0.05, 1), share=st.floats(0.05, 1))
@settings(max_examples=150)
def test_an_order_never_passes_its_caps_nor_the_cash(price, held, cash, target, cap, share):
    session = session_of(cash, held, max_exposure=cap, max_order_share=share)
    quote = quote_of(price)
    sized = risk.size(session, target, quote, RULES, trades_today=0)
    if sized.quantity > 0:
        equity = cash + held * quote.mid
        after = held + sized.quantity
        assert sized.quantity * quote.ask <= risk.exact(share) * equity
        assert after * quote.mid <= risk.exact(cap) * equity
        assert sized.quantity * quote.ask * D("1.001") <= cash


@given(price=prices, held=held, cash=cash, limit=st.floats(0.01, 0.5))
@settings(max_examples=100)
def test_a_breach_is_noticed_on_marked_equity(price, held, cash, limit):
    session = session_of(cash, held, max_drawdown=limit, daily_loss=0.0)
    equity = cash + held * price
    session.peak_equity = session.day_equity = equity
    assert not look(session, equity + 1).reason
    found = look(session, equity * (1 - risk.exact(limit)))
    assert found.state == "reducing"
    assert found.reason.startswith("drawdown limit reached: ")


def test_the_state_goes_over_reducing_to_halted_and_stays():
    session = session_of(D(100), D(1), max_drawdown=0.1, daily_loss=0.0)
    session.peak_equity = session.day_equity = D(1000)
    assert look(session, D(950)) == breakers.Verdict("active", "")
    assert look(session, D(900)) == breakers.Verdict(
        "reducing", "drawdown limit reached: 10 % lost, the limit is 10 %"
    )
    session.risk_state = RiskState.REDUCING
    assert look(session, D(2000)).state == RiskState.REDUCING
    assert look(session, D(2000), is_flat=True).state == RiskState.HALTED
    session.risk_state = RiskState.HALTED
    assert look(session, D(2000), is_flat=True).state == RiskState.HALTED


def test_wide_spreads_and_busy_days_forbid_entries_and_allow_exits():
    wide, session = quote_of(D(100), D("0.1")), session_of(D(1000), D(5), max_spread=0.01)
    assert risk.size(session, 1.0, wide, RULES, trades_today=0).quantity == 0
    assert "spread" in risk.size(session, 1.0, wide, RULES, trades_today=0).reason
    assert risk.size(session, 0.0, wide, RULES, trades_today=0).quantity == -5
    session = session_of(D(1000), D(0), max_trades_per_day=3)
    assert "3 trades today" in risk.size(session, 1.0, quote_of(D(100)), RULES, trades_today=3).reason


def test_quotes_that_cannot_be_believed_are_named():
    profile = RiskProfile(max_stale_s=3.0)
    assert "no price" in risk.unusable(None, 0, profile)
    assert "crossed" in risk.unusable(Quote("P", D(2), D(1), D(1), 0), 0, profile)
    assert "s old" in risk.unusable(Quote("P", D(1), D(2), D(1), 0), 3_001, profile)
    assert risk.unusable(Quote("P", D(1), D(2), D(1), 0), 3_000, profile) == ""


@given(ticks=st.lists(st.integers(5_000, 20_000), min_size=1, max_size=40))
@settings(max_examples=60)
def test_a_trailing_stop_never_moves_away_from_the_price(ticks):
    session = session_of(D(0), D(1), stop_loss=0.05, trailing_stop=0.03)
    session.entry_price = session.high_water = D(100)
    stops = []
    for tick in ticks:
        price = D(tick) / 100
        if positions.follow_price(session, price, RULES):
            break
        stops.append(session.stop_price)
    assert stops == sorted(stops)
    assert all(stop >= D(95) for stop in stops)


@given(
    open_=st.integers(100, 1_000_000).map(lambda n: D(n) / 10),
    held=st.integers(-200_000, 500_000).map(lambda n: n * RULES.step),
    cash=st.integers(0, 10**7).map(lambda n: D(n) / 100),
    target=st.floats(-1, 1),
    share=st.sampled_from([0.001, 0.05, 0.3, 1.0]),
    position=st.sampled_from([0.0, 5.0, 900.0, 40_000.0]),
)
@settings(max_examples=300)
def test_a_live_order_and_a_backtests_are_cut_to_the_same_quantity(
    open_, held, cash, target, share, position
):
    session = session_of(cash, held, max_order_share=share, max_position=position, max_leverage=10.0)
    rules = positions.rules_of(session.risk, RULES)._replace(
        half_spread=D("0.001"), max_order_share=risk.exact(share), max_position=risk.exact(position)
    )
    assume(equity(cash, held, open_) > 0)
    quote = Quote("BTC/USD", fill_price(open_, -1, rules), fill_price(open_, 1, rules), open_, 0)
    with patch.object(risk, "RAISED", D(1)):  # a backtest knows its fill's price, a session leaves room
        live = risk.size(session, target, quote, RULES, trades_today=0)
    book, wish = positions.book_of(session), risk.exact(target)
    *_, order, _ = step_bar(
        book, positions.track_of(session), True, wish, *[open_] * 4, D(0), rules._replace(stop_loss=D(0)),
        positions.plan_of(session.risk),
    )  # fmt: skip
    assert order.quantity == live.quantity
    code = cap_at(book, wish, open_, rules, Margin(D(0), D(0)))
    caps = {
        kernel_breakers.REASONS[one] for one in (kernel_risk.MAX_ORDER_SHARE, kernel_breakers.MAX_POSITION)
    }
    assert ({kernel_breakers.REASONS[code]} if code else set()) == caps & set(live.reason.split("; "))


def test_no_share_but_nothing_reads_as_nothing():
    assert [percent(share) for share in (0, 0.00001234, D("0.0000001"), 0.05, 1.5)] == [
        "0 %", "0.001234 %", "0.00001 %", "5 %", "150 %",
    ]  # fmt: skip


def test_every_breaker_says_what_was_measured_and_its_limit():
    limits = kernel_breakers.Limits(D("0.05"), D("0.1"), D("0.2"), D("0.15"), 3, 0.5, 0.2, 0.25, 0.3, 4.0)
    facts = kernel_breakers.Facts(D(800), D(850), D(900), D(1000), D(950), 4, 0.75, 0.1, 0.5, 0.4, 6.0)
    said = {
        code: breakers.worded(code, facts, limits)
        for code in (kernel_risk.DRAWDOWN, kernel_risk.DAILY_LOSS, *range(20, 28))
    }
    assert all(text.startswith(f"{kernel_breakers.REASONS[code]}: ") for code, text in said.items())
    assert said[kernel_risk.DRAWDOWN].endswith("20 % lost, the limit is 20 %")
    assert said[kernel_risk.DAILY_LOSS].endswith("5.882 % lost, the limit is 5 %")
    assert said[kernel_breakers.VENUE_ERRORS].endswith("75 %, the limit is 50 %")
    assert said[kernel_breakers.PSI].endswith("0.5, the limit is 0.25")
    assert said[kernel_breakers.TURNOVER].endswith("6 times, the limit is 4")
    assert said[kernel_breakers.LOW_ENTROPY].endswith("0.1, at least 0.2 is needed")
    assert said[kernel_breakers.LOSS_STREAK].endswith("4 of 3")
    assert breakers.worded(kernel_risk.OK, facts, limits) == ""
