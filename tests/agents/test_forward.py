"""The compiled forward pass is exact arithmetic's and torch's to 1e-6, whatever the shape of the network."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.policies.network import Network

SHAPES = st.lists(st.sampled_from([1, 3, 8, 16, 64, 100, 173]), min_size=1, max_size=4)


def tower(random, sizes, outputs, scale):
    layers = []
    for inputs, width in pairwise([*sizes, outputs]):
        weight = random.normal(0, scale / np.sqrt(inputs), (inputs, width))
        layers.append((weight.astype(np.float32), random.normal(0, 0.3, width).astype(np.float32)))
    return tuple(layers)


def exact(layers, activation, rows):
    """The same in float64."""
    function = np.tanh if activation == "tanh" else lambda values: np.maximum(values, 0)
    hidden = rows.astype(np.float64)
    for weight, bias in layers[:-1]:
        hidden = function(hidden @ weight.astype(np.float64) + bias)
    return hidden @ layers[-1][0].astype(np.float64) + layers[-1][1]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32), sizes=SHAPES, outputs=st.integers(1, 5), rows=st.integers(1, 9),
    activation=st.sampled_from(["tanh", "relu"]), scale=st.sampled_from([0.3, 1.0, 3.0]),
)  # fmt: skip
def test_it_is_within_a_millionth_of_exact_arithmetic(seed, sizes, outputs, rows, activation, scale):
    random = np.random.default_rng(seed)
    network = Network(tower(random, sizes, outputs, scale), tower(random, sizes, 1, scale), activation)
    seen = random.normal(0, 2, (rows, sizes[0])).astype(np.float32)
    acts, values = network.forward(seen)
    for found, layers in ((acts, network.actor), (values[:, None], network.critic)):
        true = exact(layers, activation, seen)
        size = np.maximum(np.abs(true).max(), 1.0)
        assert np.abs(found - true).max() <= 1e-6 * size * max(scale, 1.0) ** len(sizes)
    assert network.act(seen).tobytes() == acts.tobytes()
    assert network.value(seen).tobytes() == values.tobytes()
    assert network.act(seen[None]).tobytes() == acts.tobytes()
    for row, act, value in zip(seen, acts, values, strict=True):
        assert network.answer(row) == (act.tolist(), float(value))


def in_order(weight, bias, row):
    """One layer as it is written down: eight inputs are added in pairs, then to the sum; the rest singly."""
    total, whole = bias.copy(), len(row) - len(row) % 8
    products = row[:, None] * weight
    for i in range(0, whole, 8):
        a, b, c, d, e, f, g, h = products[i : i + 8]
        total += ((a + b) + (c + d)) + ((e + f) + (g + h))
    for product in products[whole:]:
        total += product
    return total


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), inputs=st.integers(1, 40), outputs=st.integers(1, 200))
def test_sums_run_in_one_order_whatever_the_width(seed, inputs, outputs):
    """Of neighbouring outputs 64 or 16 are summed at once and what is left singly, with the same bits."""
    random = np.random.default_rng(seed)
    actor, critic = tower(random, (inputs,), outputs, 1.0), tower(random, (inputs,), 1, 1.0)
    network, rows = Network(actor, critic, "relu"), random.normal(0, 2, (2, inputs)).astype(np.float32)
    expected = [in_order(*actor[0], row) for row in rows]
    assert network.act(rows).tobytes() == np.array(expected).tobytes()
    for row, act in zip(rows, expected, strict=True):
        assert network.answer(row) == (act.tolist(), float(in_order(*critic[0], row)[0]))
        assert network.answer(np.repeat(row, 3)[::3]) == network.answer(row)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_it_is_torch_to_a_millionth(activation):
    random = np.random.default_rng(3)
    network = Network(tower(random, (173, 64, 64), 3, 1.0), tower(random, (173, 64, 64), 1, 1.0), activation)
    parts = []
    for weight, bias in network.actor:
        dense = torch.nn.Linear(*weight.shape)
        dense.load_state_dict({"weight": torch.tensor(weight.T.copy()), "bias": torch.tensor(bias)})
        parts += [dense, torch.nn.Tanh() if activation == "tanh" else torch.nn.ReLU()]
    seen = random.uniform(-5, 5, (500, 173)).astype(np.float32)
    with torch.no_grad():
        theirs = torch.nn.Sequential(*parts[:-1])(torch.tensor(seen)).numpy()
    assert np.abs(theirs - network.act(seen)).max() <= 1e-6 * max(1.0, np.abs(theirs).max())


def test_its_tanh_is_right_everywhere():
    """One input, weight one, and a second layer that passes it on."""
    one, none = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    network = Network(((one, none), (one, none)), ((one, none), (one, none)), "tanh")
    few = [0.0, -0.0, 1e-38, -1e-20, 88.0, -1e30, np.inf, -np.inf]
    seen = np.concatenate([np.linspace(-12, 12, 400_001), few]).astype(np.float32)[:, None]
    found = network.act(seen)
    assert np.abs(found - np.tanh(seen.astype(np.float64))).max() <= 6e-8  # half a digit of float32 at 1
    assert np.array_equal(found, -network.act(-seen))
    assert np.isnan(network.act(np.array([np.nan], np.float32)))


def test_a_row_of_another_width_is_refused():
    network = Network(tower(np.random.default_rng(1), (5, 4), 3, 1.0), (), "tanh", head="greedy")
    with pytest.raises(ValueError, match="takes 5 numbers, not 6"):
        network.act(np.zeros(6, np.float32))


def test_an_answer_is_that_of_many_rows_whatever_the_network_makes_of_an_observation():
    """Greedy values, another number type: what is no plain pair of towers goes the general way."""
    random = np.random.default_rng(4)
    greedy = Network(tower(random, (5, 4), 3, 1.0), (), "relu", head="greedy")
    plain = Network(tower(random, (5, 4), 3, 1.0), tower(random, (5, 4), 1, 1.0), "relu")
    seen = random.normal(0, 1, (1, 5))
    for network, row in ((greedy, seen[0].astype(np.float32)), (plain, seen[0])):
        acts, values = network.forward(row[np.newaxis])
        assert network.answer(row) == (acts[0].tolist(), float(values[0]))
    with pytest.raises(ValueError, match="takes 5 numbers, not 6"):
        plain.answer(np.zeros(6, np.float32))
