"""What a compiled bar rests on: recorded formulas, and TA-Lib's functions by their addresses."""

import gc
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.features import CATALOGUE, PRESETS, FeatureSet, FeatureSpec, compute, native, player
from market.features.compiled import CALL_WIDTH, DONE, NOTHING, play
from market.features.indicators import call
from market.features.kinds import Plan
from market.features.player import Player
from market.features.series import SCALARS
from market.features.tape import Tape, record

from .markets import random_walk

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_formula_of_the_catalogue_can_be_recorded(name):
    recording = record(FeatureSet((FeatureSpec(name, name),)))
    assert 0 <= recording.derived < len(recording.steps)
    assert (recording.steps[:, 1:] < len(recording.cells)).all()
    assert (recording.steps[:, 0] < 0).tolist() == [False] * (len(recording.steps) - 1) + [True]


def formula(a, b, m):
    """Every operation a formula may use; inputs may have either sign."""
    size = m.maximum(a, -b) + 1.0
    share = (2 * a - b) / m.maximum(m.sqrt(a * a + b * b), 1e-9) - 0.5
    signs = (a > b) * 1.0 - (a < b) * 1.0 + (a >= 0) * (b <= 3.0) * 2
    turn = a - 7.5 * m.floor(a / 7.5)
    return share + signs * m.log(m.maximum(size, 1e-3)) + m.sin(turn) * m.cos(turn) / (1 + size * size)


@given(a=NUMBERS, b=NUMBERS)
@settings(max_examples=300, deadline=None)
def test_recorded_steps_give_the_bits_of_the_formula(a, b):
    tape = Tape()
    bar = [tape.cell() for _ in range(7)]
    column = formula(bar[4], bar[5], tape.maths)  # the volume's cell and the time's: taken as they come
    steps = np.array([*tape.steps, (NOTHING, column.place, 0, 0)])
    none, cells, row = np.zeros((0, CALL_WIDTH), np.int64), np.array(tape.cells), np.empty(1)
    code = play(steps, 0, none, cells, row, False, 1.0, b, 1.0, 1.0, 1.0, 1.0, a)
    assert code == DONE
    assert row[0] == formula(a, b, SCALARS)


@pytest.mark.parametrize(
    "odd",
    [
        lambda x: x if x > 0 else -x,
        lambda x: x == 0,
        lambda x: math.exp(x),
        lambda x: x + np.ones(2),
        lambda x: x + "1",
        lambda x: max(x, 1.0),
    ],
)
def test_a_formula_that_cannot_be_recorded_says_so(odd):
    with pytest.raises(TypeError):
        odd(Tape().cell())


def test_constants_that_are_equal_but_for_their_sign_stay_two():
    tape = Tape()
    assert tape.of(0.0).place != tape.of(-0.0).place
    assert tape.of(1).place == tape.of(1.0).place == tape.of(True).place


def history(rows=300):
    candles = random_walk(rows, seed=11)
    return candles, compute(candles, PRESETS["core"])[-1]


def test_a_player_is_opened_only_where_it_gives_the_bits_of_the_arrays():
    candles, row = history()
    assert isinstance(player.opened(PRESETS["core"], candles, row), Player)
    nearly = row.copy()
    nearly[5] = np.nextafter(nearly[5], 2)
    assert player.opened(PRESETS["core"], candles, nearly) is None


def test_without_symbols_no_player_is_opened(monkeypatch):
    candles, row = history()
    monkeypatch.setattr(native, "_library", lambda: type("Other", (), {})())
    native._symbol.cache_clear()
    assert player.opened(PRESETS["core"], candles, row) is None


def test_a_formula_that_branches_goes_without_a_player(monkeypatch):
    candles, row = history()
    monkeypatch.setattr(player, "record", lambda _: (_ for _ in ()).throw(TypeError("a branch")))
    assert player.opened(PRESETS["core"], candles, row) is None


def test_too_short_a_history_is_not_opened():
    with pytest.raises(native.NotFound, match="answered"):
        native.opened(call("SMA", "close", timeperiod=20), [np.ones(19)])


def test_parameters_reach_the_function_by_name_and_kind():
    """One of each: whole numbers, real ones, and what is not given; the values are those of whole arrays."""
    close, high, low = 100 + np.random.default_rng(3).normal(0, 1, (3, 200))
    high, low = np.maximum(high, close), np.minimum(low, close)
    for asked, arrays in (
        (call("BBANDS", "close", timeperiod=20, nbdevup=2.5), [close]),
        (call("T3", "close", timeperiod=5, vfactor=0.3), [close]),
        (call("KC", "high", "low", "close", timeperiod=7, nbdev=3), [high, low, close]),
        (call("STOCH", "high", "low", "close", fastk_period=9, slowd_period=4), [high, low, close]),
    ):
        whole = asked.over(arrays)
        expected = [array[-1] for array in whole] if isinstance(whole, tuple) else [whole[-1]]
        assert list(native.opened(asked, arrays).values) == expected
        assert len(expected) == asked.outputs


def test_a_handle_is_closed_when_nothing_refers_to_it(monkeypatch):
    closed = []
    real = native._symbol

    def symbol(name):
        return closed.append if name.endswith("_Close") else real(name)

    monkeypatch.setattr(native, "_symbol", symbol)
    handle = native.opened(call("SMA", "close", timeperiod=5), [np.arange(1.0, 50.0)])
    state = handle.state
    assert closed == []
    del handle
    gc.collect()
    assert [pointer.value for pointer in closed] == [state]


def test_a_whole_number_among_the_outputs_is_noticed():
    """The direction that SUPERTREND adds is a C int; one that read it would get no player."""
    line = CATALOGUE["supertrend"].plan(period=10, multiplier=3.0).calls[0]
    reading = FeatureSet((FeatureSpec("s", "supertrend"),))
    reading.specs[0].__dict__["plan"] = Plan((line,), lambda bar, maths, out: out[1] * 1.0)
    candles = random_walk(100, seed=2)
    assert player.opened(reading, candles, compute(candles, reading)[-1]) is None


def test_a_function_that_gives_whole_numbers_is_left_to_python():
    wanted = call("CDLDOJI", "open", "high", "low", "close")
    bars = [getattr(random_walk(100, seed=1), name) for name in wanted.inputs]
    with pytest.raises(native.NotFound, match="C ints"):
        native.opened(wanted, bars)


def test_a_library_of_another_version_is_not_called_by_address(monkeypatch):
    monkeypatch.setattr(native, "TESTED", "0.7.")
    native._library.cache_clear()
    native._symbol.cache_clear()
    with pytest.raises(native.NotFound, match=r"is not 0\.7\."):
        native.opened(call("SMA", "close", timeperiod=5), [random_walk(100, seed=1).close])
    native._library.cache_clear()
