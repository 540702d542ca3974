"""Recurrent layers are PyTorch's own, live: outputs, states and gradients."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.forward import Given, Runner, Trace
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import MODEL_INPUT, Node
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Gru, GruCell, Lstm, LstmCell, Recurrent, RnnCell, SimpleRnn

FEATURES, HIDDEN = 3, 4
LENGTHS = [5, 3, 3, 1]
KINDS = ["GRU", "RNN", "RNN relu", "LSTM"]
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def made(torch: Any, kind: str, both: bool) -> Any:
    """A layer of PyTorch's with random weights."""
    name, *activation = kind.split()
    settings = {"nonlinearity": activation[0]} if activation else {}
    torch.manual_seed(KINDS.index(kind))
    of_sizes = FEATURES, HIDDEN
    layer = getattr(torch.nn, name)(*of_sizes, bidirectional=both, batch_first=True, **settings)
    return layer.double()


def read(layer: Any, kind: str, returns: Any) -> Recurrent:
    """The same layer as the engine has it; of an LSTM, with its cell states."""

    def weights(name: str, suffix: str) -> Floats:
        found = getattr(layer, f"{name}_l0{suffix}").detach().numpy()
        if kind.startswith("RNN"):
            return found
        return found.reshape(-1, HIDDEN, *found.shape[1:])

    gru, lstm, simple = [], [], []
    for suffix in ["", "_reverse"][: 1 + layer.bidirectional]:
        of_input, recurrent = weights("weight_ih", suffix), weights("weight_hh", suffix)
        biases = weights("bias_ih", suffix), weights("bias_hh", suffix)
        backward = suffix != ""
        if kind == "GRU":
            bias = biases[0] + biases[1] * np.array([1.0, 1.0, 0.0])[:, np.newaxis]
            gru.append(GruCell(of_input, recurrent, bias, biases[1][2], backward=backward))
        elif kind == "LSTM":
            lstm.append(LstmCell(of_input, recurrent, biases[0] + biases[1], backward))
        else:
            simple.append(RnnCell(of_input, recurrent, biases[0] + biases[1], backward))
    if kind == "GRU":
        return Gru(tuple(gru), returns=returns)
    if kind == "LSTM":
        return Lstm(tuple(lstm), returns=returns, gives_cell=returns == "last")
    return SimpleRnn(
        tuple(simple), returns=returns, activation="relu" if kind == "RNN relu" else "tanh"
    )


def theirs(torch: Any, layer: Any, kind: str, x: Any, states: Any, returns: str) -> Any:
    """What PyTorch makes of one sequence, laid out as the engine has it.

    `states` are of each direction hidden and, of an LSTM, cell state, side by side.
    """
    directions, kinds = 1 + layer.bidirectional, 1 + (kind == "LSTM")
    of_kinds = states.reshape(directions, kinds, HIDDEN).transpose(0, 1)
    first = tuple(each.unsqueeze(1).contiguous() for each in of_kinds)
    output, last = layer(x.unsqueeze(0), first if kind == "LSTM" else first[0])
    if returns == "sequence":
        return output[0]
    return torch.cat([each.reshape(-1) for each in (last if kind == "LSTM" else [last])])


def forward(layer: Recurrent, rows: list[Floats], states: Floats) -> Trace:
    """One batch through a model of that layer alone, begun in states that a second input gives."""
    inputs = (Input(FEATURES), Input(states.shape[1], name="states", steps=False))
    nodes = (Node(layer, (MODEL_INPUT, MODEL_INPUT - 1)),)
    by_step = layer.returns == "sequence"
    heads = (Head(layer.output_size),)
    model = Model(nodes, (0,), heads, np.dtype("float64"), inputs, by_step)
    packing = Packing(np.array(LENGTHS))
    given = Given(packing.pack(np.concatenate(rows)), packing)
    vectors = Given(states, Packing.of_vectors(len(states)), is_sequence=False)
    return Runner(model, keep_gates=True).forward([given, vectors])


@pytest.fixture(params=product(KINDS, [False, True], ["last", "sequence"]), ids=str)
def case(request: pytest.FixtureRequest, framework: Any) -> Any:
    """PyTorch, its layer, what kind it is, and the same layer here."""
    kind, both, returns = request.param
    torch = framework("torch")
    layer = made(torch, kind, both)
    return torch, layer, kind, read(layer, kind, returns)


def drawn(layer: Recurrent) -> tuple[list[Floats], Floats]:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(length, FEATURES)) for length in LENGTHS]
    return rows, rng.normal(size=(len(LENGTHS), layer.state_size))


def of_sequence(values: NDArray[Any], own: Recurrent, packing: Packing, k: int) -> NDArray[Any]:
    return values[packing.sequence == k] if own.returns == "sequence" else values[k]


def test_outputs_and_gradients_by_inputs_and_by_states(case: Any) -> None:
    torch, layer, kind, own = case
    rows, states = drawn(own)
    trace = forward(own, rows, states)
    [record], packing = trace.records, trace.packings[0]
    weights = np.random.default_rng(1).normal(size=trace.scores.shape)
    of_inputs, of_states = record.gradient(weights)
    of_steps, _ = record.pull_back(weights, "steps")
    for k, x in enumerate(rows):
        given = torch.from_numpy(x).requires_grad_()
        begun = torch.from_numpy(states[k]).requires_grad_()
        found = theirs(torch, layer, kind, given, begun, own.returns)
        expected = found.detach().numpy()
        np.testing.assert_allclose(of_sequence(trace.scores, own, packing, k), expected, **CLOSE)
        weighed = (found * torch.from_numpy(of_sequence(weights, own, packing, k))).sum()
        by_input, by_states = torch.autograd.grad(weighed, [given, begun])
        own_rows = packing.sequence == k
        np.testing.assert_allclose(of_inputs[own_rows], by_input.numpy(), **CLOSE)
        np.testing.assert_allclose(of_states[k], by_states.numpy(), **CLOSE)
        products = (by_input.numpy() * x).sum(axis=1)
        np.testing.assert_allclose(of_steps[own_rows], products, **CLOSE)


def test_relevance_goes_to_inputs_and_to_states_and_is_accounted_for(case: Any) -> None:
    _, _, _, own = case
    rows, states = drawn(own)
    trace = forward(own, rows, states)
    [record], packing = trace.records, trace.packings[0]
    weights = np.random.default_rng(1).normal(size=trace.scores.shape)
    for gates in ("lrp-all", "lrp-half", "lrp-prop", "lrp-abs"):
        (of_inputs, of_states), shares = record.relevance(weights, LrpRule(0.01, 0.3, gates))
        assert not shares.initial_state.any()
        total = packing.total(of_inputs.sum(axis=1)) + of_states.sum(axis=1)
        total += shares.biases + shares.stabilizers[0]
        given = weights.sum(axis=1)
        expected = packing.total(given) if own.returns == "sequence" else given
        np.testing.assert_allclose(total, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_states_of_a_node_and_carried_ones_are_not_both(kind: str, framework: Any) -> None:
    layer = replace(read(made(framework("torch"), kind, False), kind, "last"), stateful=True)
    rows, states = drawn(layer)
    with pytest.raises(ValueError, match="a stateful layer begins where it ended"):
        forward(layer, rows, states)
