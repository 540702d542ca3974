"""Attention weights stand at the steps of the user's sequences, whatever lies between."""

import numpy as np
import pytest

import lstm_lrp_cli as lrp
from lstm_lrp_cli.engine.attention import attention_layers
from lstm_lrp_cli.errors import WrongUsage
from lstm_lrp_cli.explaining import windows
from lstm_lrp_cli.loading.layers import kind_of
from lstm_lrp_cli.model.layers import (
    Activation,
    Attention,
    Dense,
    Each,
    Merge,
    Node,
    Pool,
    Repeat,
    Reverse,
    StepSoftmax,
    Upsample,
)
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.text import Padding

UNITS = 2
DENSE = Dense(np.array([[1.0, 2.0]]), None)


def model_of(*nodes, padding=None, **settings):
    """A model of two features whose score is the last node's."""
    read = Input(UNITS, padding=padding)
    last, classes = len(nodes) - 1, settings.pop("classes", UNITS)
    return Model(nodes, (last,), (Head(classes),), np.dtype("float64"), (read,), **settings)


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def pooling(*first):
    """Nodes behind some that weigh the steps of the last of them by a softmax."""
    place = len(first) - 1
    return (
        *first,
        Node(DENSE, (place,)),
        Node(StepSoftmax(), (place + 1,)),
        Node(Merge("gate"), (place + 2, place)),
        Node(Pool("sum"), (place + 3,)),
    )


def weights_of(model, *arrays, **asked):
    return [each.attention for each in lrp.explain(model, list(arrays), attention=True, **asked)]


def steps(count, seed=1):
    return np.random.default_rng(seed).normal(size=(count, UNITS))


def test_steps_in_reverse_are_those_of_the_input():
    """Only what the layer is given is turned round, and not what is told."""
    array = steps(4)
    expected = softmax(array @ [1.0, 2.0])
    for first in ([], [Node(Reverse(), (-1,))]):
        [[found]] = weights_of(model_of(*pooling(*first)), array, steps(2))[:1]
        assert found.keys == "input"
        np.testing.assert_allclose(found.weights, expected[np.newaxis, np.newaxis])


def test_steps_that_are_no_ones_are_the_layers_own():
    array = steps(3)
    [[found]] = weights_of(model_of(*pooling(Node(Upsample(2), (-1,)))), array)
    assert (found.queries, found.keys) == (None, None)
    expected = softmax(np.repeat(array @ [1.0, 2.0], 2))
    np.testing.assert_allclose(found.weights[0, 0], expected)
    # Both orders beside each other are of no one step.
    both = (Node(Reverse(), (-1,)), Node(Merge("sum"), (-1, 0)))
    [[found]] = weights_of(model_of(*pooling(*both)), array)
    assert found.keys is None
    assert found.weights.shape == (1, 1, 3)


def test_a_query_of_one_vector_and_repeated_queries():
    array = steps(3)
    asking = (Node(Pool("last"), (-1,)), Node(Attention(), (0, -1, -1)))
    [[found]] = weights_of(model_of(*asking), array)
    assert (found.queries, found.keys) == (None, "input")
    np.testing.assert_allclose(found.weights[0, 0], softmax(array @ array[-1]))
    repeated = (Node(Pool("last"), (-1,)), Node(Repeat(2), (0,)), Node(Attention(), (1, -1, -1)))
    [[found]] = weights_of(model_of(*repeated, Node(Pool("sum"), (2,))), array)
    assert (found.queries, found.keys, found.weights.shape) == (None, "input", (1, 2, 3))


@pytest.mark.parametrize("side", ["pre", "post"])
def test_padding_keeps_its_share(side):
    padding = Padding(length=5, value=0.0, side=side, truncate="pre")
    array = steps(2)
    [[short], [long]] = weights_of(model_of(*pooling(), padding=padding), array, steps(7, 2))
    whole = softmax(np.array([*(array @ [1.0, 2.0]), 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(short.weights[0, 0], whole[:2])
    np.testing.assert_allclose(short.padding, [[whole[2:].sum()]])
    np.testing.assert_array_equal(np.isnan(long.weights[0, 0]), [True] * 2 + [False] * 5)
    np.testing.assert_allclose(np.nansum(long.weights), 1.0)
    np.testing.assert_array_equal(long.padding, [[0.0]])


def parted(padding=None):
    """Documents of sentences of three words: words are weighed in each, and sentences in all."""
    inner = Each(pooling(), len(pooling()) - 1, 3)
    return model_of(*pooling(Node(inner, (-1,))), padding=padding)


def test_each_part_has_its_own_weights():
    array = steps(6)
    first, second, document = weights_of(parted(), array)[0]
    for part, found in enumerate((first, second)):
        own = array[3 * part : 3 * part + 3]
        assert (found.layer, found.part, found.keys) == ("each_1.softmax_1", part, "input")
        assert found.steps == (3 * part, 3 * part + 3)
        np.testing.assert_allclose(found.weights[0, 0], softmax(own @ [1.0, 2.0]))
    assert (document.layer, document.part, document.steps) == ("softmax_1", None, None)
    assert (document.keys, document.weights.shape) == (None, (1, 1, 2))


def test_parts_with_padding():
    """A part that is all padding has none of the sequence's steps, and still is one."""
    array = steps(4)
    padding = Padding(length=9, value=0.0, side="post")
    first, second, third, _ = weights_of(parted(padding), array)[0]
    assert [each.steps for each in (first, second, third)] == [(0, 3), (3, 4), (0, 0)]
    whole = softmax(np.array([array[3] @ [1.0, 2.0], 0.0, 0.0]))
    np.testing.assert_allclose(second.weights, [[whole[:1]]])
    np.testing.assert_allclose(second.padding, [[whole[1:].sum()]])
    np.testing.assert_allclose((first.padding, third.padding), [[[0.0]], [[1.0]]])
    assert third.weights.shape == (1, 1, 0)


def test_parts_of_parts_are_numbered_through():
    inner = Each(pooling(), len(pooling()) - 1, 2)
    outer = Each((Node(inner, (-1,)), Node(Pool("sum"), (0,))), 1, 4)
    model = model_of(Node(outer, (-1,)), Node(Pool("sum"), (0,)))
    array = steps(8)
    of_long, of_none, of_short = weights_of(model, array, array[:0], array[:4])
    assert of_none == ()
    assert [each.part for each in of_short] == [0, 1]
    assert [each.part for each in of_long] == [0, 1, 2, 3]
    for part, found in enumerate(of_long):
        assert (found.layer, found.steps) == ("each_1.each_1.softmax_1", (2 * part, 2 * part + 2))
        expected = softmax(array[2 * part : 2 * part + 2] @ [1.0, 2.0])
        np.testing.assert_allclose(found.weights[0, 0], expected)


def test_what_parts_give_by_step_are_the_inputs_steps():
    """A graph for each part turns its own steps round; weights behind it are told at the input."""
    each = Each((Node(Reverse(), (-1,)),), 0, 3)
    array = steps(6)
    [[found]] = weights_of(model_of(*pooling(Node(each, (-1,)))), array)
    np.testing.assert_allclose(found.weights[0, 0], softmax(array @ [1.0, 2.0]))


def test_queries_and_keys_of_two_inputs():
    """Each stands at the steps of its own, of which there may be another number."""
    inputs = (
        Input(UNITS, name="asks", padding=Padding(value=0.0, masked=True)),
        Input(UNITS, name="told", padding=Padding(length=4, value=0.0, side="post")),
    )
    nodes = (Node(Attention(), (-1, -2, -2)), Node(Pool("sum"), (0,)))
    model = Model(nodes, (1,), (Head(UNITS),), np.dtype("float64"), inputs)
    asks, told = steps(3), steps(2, 5)
    asks[1] = 0.0
    [one] = lrp.explain(model, {"asks": [asks], "told": [told]}, attention=True)
    [found] = one.attention
    assert (found.queries, found.keys, found.weights.shape) == ("asks", "told", (1, 3, 2))
    keys = np.concatenate([told, np.zeros((2, UNITS))])
    for query in (0, 2):
        expected = softmax(keys @ asks[query])
        np.testing.assert_allclose(found.weights[0, query], expected[:2])
        np.testing.assert_allclose(found.padding[0, query], expected[2:].sum())
    assert np.isnan(found.weights[0, 1]).all()
    assert np.isnan(found.padding[0, 1])


def test_layers_are_called_as_in_a_mapping():
    model = parted()
    assert attention_layers(model.nodes) == ["each_1.softmax_1", "softmax_1"]
    each, *_, soft, _, _ = (node.layer for node in model.nodes)
    assert [kind_of(layer) for layer in (each, soft, Attention())] == ["each", "softmax", "attend"]


def test_every_method_target_and_step_has_the_same(monkeypatch):
    """Of a model by step, and in small windows too; a sequence without steps has none."""
    dense = Node(Dense(np.eye(UNITS), None), (0,))
    model = model_of(Node(Attention(), (-1, -1, -1)), dense, by_step=True)
    arrays = [steps(3), steps(0), steps(5)]
    asked = {"target": "all", "step": "all", "attention": True}
    found = lrp.explain(model, arrays, "lrp-all,gradient,occlusion", **asked)
    assert len(found) == (3 + 5) * UNITS * 3 + 3
    for each in found:
        if not len(arrays[each.number]):
            assert each.attention == ()
            continue
        array = arrays[each.number]
        expected = [softmax(row) for row in array @ array.T]
        np.testing.assert_allclose(each.attention[0].weights[0], expected)
    monkeypatch.setattr(windows, "RESULT_BYTES", 1)
    again = lrp.explain(model, arrays, "lrp-all,gradient,occlusion", **asked)
    assert [each.number for each in again] == [each.number for each in found]


def test_what_has_no_weights_is_told():
    over_units = model_of(Node(Activation("softmax"), (-1,)), Node(Pool("sum"), (0,)))
    with pytest.raises(WrongUsage, match="the model has no attention weights"):
        lrp.Explainer(over_units, attention=True)
    [plain] = lrp.explain(over_units, [steps(2)])
    assert plain.attention is None


def test_no_format_leaves_them_out_in_silence(tmp_path):
    found = lrp.explain(model_of(*pooling()), [steps(2)], attention=True)
    with pytest.raises(WrongUsage, match="tsv has no place for the attention weights"):
        lrp.write(found, tmp_path / "relevance.tsv")
    lrp.write(found, tmp_path / "relevance.jsonl")
    assert '"attention":[{"layer":"softmax_1"' in (tmp_path / "relevance.jsonl").read_text()
