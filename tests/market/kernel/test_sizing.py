from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel import sizing
from market.kernel.lowrider import KEPT
from market.kernel.plan import closed, followed, open_track
from market.kernel.portfolio import exposure_of
from market.kernel.sizing import KELLY, RESIZE, RISK, VOLATILITY, reasons, sized_target
from market.kernel.step import Book, Rules
from tests.market.kernel.instruments import NO_PLAN, as_floats, plans, rules

D = Decimal
FLAT = Book(*map(D, (10_000, 0, 0, 0, 10_000, 0, 0)))


def plan(**values):
    return NO_PLAN._replace(is_on=D(1), **{name: D(str(value)) for name, value in values.items()})


def free(**values):
    return Rules(*[D(0)] * len(Rules._fields))._replace(
        **{name: D(str(value)) for name, value in values.items()}
    )


def sized(wish, chosen, *, book=FLAT, track=None, atr=1, price=100, conviction=1, **rules):
    track = track or open_track(D(0))
    return sized_target(
        D(str(wish)), book, track, D(price), D(str(atr)), D(conviction), free(**rules), chosen
    )


def traded(*rates):
    """The track after closed trades with these returns."""
    track = open_track(D(0))
    for rate in rates:
        base = D(1000)
        track = track._replace(base=base)
        track = closed(track, base * (1 + D(str(rate))), plan(streak_losses=2, kelly_trades=50))
    return track


def test_without_rules_a_wish_stays_as_it_is():
    assert sized("0.7", NO_PLAN) == (D("0.7"), 0)


def test_the_fixed_fraction_scales_a_wish_and_keeps_its_sign():
    assert sized(-1, plan(size_fraction="0.3")) == (D("-0.3"), sizing.FRACTION)


def test_a_stop_two_percent_away_puts_one_percent_at_risk_with_half_the_equity():
    assert sized(1, plan(risk_per_trade="0.01"), stop_loss="0.02") == (D("0.5"), RISK)
    assert sized(1, plan(risk_per_trade="0.01", stop_atr=4)) == (D("0.25"), RISK)


def test_the_nearest_of_several_stops_counts():
    chosen = plan(stop_atr=5, trailing_atr=3)
    assert sizing.stop_distance(D(100), D(1), free(stop_loss="0.04"), chosen) == D("0.03")
    assert sizing.stop_distance(D(100), D(1), free(trailing="0.02"), chosen) == D("0.02")


def test_calm_markets_are_held_larger_up_to_the_wish():
    assert sized(1, plan(volatility_target="0.005"), atr=1) == (D("0.5"), VOLATILITY)
    assert sized(1, plan(volatility_target="0.005"), atr="0.1") == (D(1), 0)


def test_only_the_cap_that_binds_is_named():
    _, code = sized(1, plan(volatility_target="0.002", risk_per_trade="0.01"), stop_loss="0.02")
    assert reasons(code) == ["cut to the volatility target"]


def test_kelly_is_the_textbook_share_of_win_rate_and_payoff():
    track = traded(*["0.02"] * 6, *["-0.01"] * 4)  # p = 0.6, b = 2: f = 0.6 - 0.4 / 2 = 0.4
    chosen = plan(kelly_fraction="0.5", kelly_cap="0.9", kelly_min_trades=10, kelly_trades=50)
    target, code = sized(1, chosen, track=track)
    assert float(target) == pytest.approx(0.2)
    assert code == KELLY


def test_before_enough_trades_and_after_a_bad_record_kelly_stays_in_its_bounds():
    chosen = plan(kelly_fraction=1, kelly_cap="0.5", kelly_min_trades=3, kelly_trades=50)
    assert sized(1, chosen, track=traded("-0.01"))[0] == D("0.5")
    assert sized(1, chosen, track=traded(*["-0.01"] * 5))[0] == D("0.05")


def test_sizes_shrink_after_a_losing_streak_and_recover_win_by_win():
    chosen = plan(streak_losses=2, streak_factor="0.5")
    returns = ["-0.01", "-0.01", "-0.01", "0.01", "0.01"]
    found = [sized(1, chosen, track=traded(*returns[: n + 1]))[0] for n in range(len(returns))]
    assert found == [1, D("0.5"), D("0.25"), D("0.5"), 1]
    assert reasons(sized(1, chosen, track=traded(*returns[:2]))[1]) == ["shrunk after losing trades"]


def test_an_endless_losing_streak_is_won_back_in_a_few_trades():
    chosen = plan(streak_losses=2, streak_factor="0.5")
    assert sized(1, chosen, track=traded(*["-0.01"] * 50))[0] == D("0.0625")
    assert sized(1, chosen, track=traded(*["-0.01"] * 50, *["0.01"] * 5))[0] == 1


def test_a_held_position_is_not_resized_for_little():
    held = FLAT._replace(cash=D(5000), held=D(50), entry=D(100))
    chosen = plan(volatility_target="0.0045", resize_band="0.1")
    target, code = sized(1, chosen, book=held)
    assert (target, code >= KEPT, code & RESIZE) == (D("0.45"), True, RESIZE)
    assert sized(1, chosen, book=held, atr=2)[1] == VOLATILITY
    assert sized(0, chosen, book=held) == (0, 0)


@given(rules(), plans, st.integers(-4, 4), st.integers(1, 50), st.integers(0, 100), st.integers(0, 5))
def test_a_size_never_passes_the_wish_nor_turns_it(ruled, chosen, quarters, atr, invested, losses):
    _, costs = ruled
    price, wish = D(100), D(quarters) / 4
    book = FLAT._replace(cash=D(10_000 - 100 * invested), held=D(invested), entry=price)
    track = traded(*["-0.01"] * losses)._replace(base=D(10_000), lots=1, last=price)
    target, code = sized_target(wish, book, track, price, D(atr) / 10, D(1), costs, chosen)
    if chosen.dca_lots == 0:
        assert abs(target) <= abs(wish)
        assert target * wish >= 0
        assert (target == wish) or reasons(code)
    elif code < KEPT and target > exposure_of(book.cash, book.held, price):
        assert target <= wish
    floats = sized_target(
        float(wish),
        as_floats(book),
        as_floats(track),
        100.0,
        atr / 10,
        1.0,
        as_floats(costs),
        as_floats(chosen),
    )
    assert floats[1] == code
    assert floats[0] == pytest.approx(float(target), abs=1e-12)


def test_a_turn_closes_one_trade_and_opens_the_next():
    chosen = plan(kelly_trades=50)
    track = followed(open_track(D(0)), D(0), D(1), D(1000), D(999), D(100), chosen)
    assert (track.base, track.lots, track.last) == (1000, 1, 100)
    track = followed(track, D(1), D(3), D(1000), D(998), D(90), chosen)
    assert (track.base, track.lots, track.last) == (1000, 2, 90)
    assert followed(track, D(3), D(2), D(1000), D(998), D(95), chosen) == track
    track = followed(track, D(3), D(-3), D(1100), D(1100), D(120), chosen)
    assert (track.trades, track.won, track.gain, track.base, track.lots) == (1, 1, D("0.1"), 1100, 1)


def test_statistics_look_back_on_their_window():
    track = traded(*["0.01"] * 3)
    for _ in range(30):
        track = closed(track._replace(base=D(1000)), D(990), plan(kelly_trades=4))
    assert track.won < D("0.001")
    assert float(track.loss) == pytest.approx(0.01, rel=1e-3)


def test_every_flag_has_its_words():
    assert all(flag & (flag - 1) == 0 and text for flag, text in sizing.REASONS.items())
    assert max(sizing.REASONS) < KEPT
