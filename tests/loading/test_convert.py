"""A converted model loads to the same model: scores and relevance are equal bit for bit."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import in_precision
from msgspec import Struct
from msgspec.structs import replace
from random_models import FAMILIES, Case, describable
from together import explain_together

from lstm_lrp_cli.loading.convert import WRITERS, convert, narrowed, vocabulary_text
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.written import commented
from lstm_lrp_cli.model.layers import Activation, Node
from lstm_lrp_cli.model.model import Head, Model


def converted(model: Model, form: str, *, narrow: bool = False) -> Model:
    """The model, written and loaded again."""
    found = convert(model, "model")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{form}"
        with path.open("wb") as file:
            WRITERS[form](file, narrowed(found.arrays) if narrow else found.arrays)
        for name, ids in found.vocabularies.items():
            path.with_name(name).write_text(vocabulary_text(ids), "utf-8")
        path.with_suffix(".yaml").write_text(commented("A model.", found.document, {}), "utf-8")
        return load_model(path, None, model.dtype).model


def assert_same(model: Model, again: Model, case: Case) -> None:
    problem = (case.sequences, case.targets, case.rule, case.steps)
    for ours, theirs in zip(
        explain_together(model, *problem), explain_together(again, *problem), strict=True
    ):
        np.testing.assert_array_equal(ours.scores, theirs.scores)
        assert_alike(ours.relevance, theirs.relevance)
        assert ours.ledger == theirs.ledger


def assert_alike(one: Any, other: Any) -> None:
    """Equal in all fields, down to every number of every array."""
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for each, its in zip(one, other, strict=True):
            assert_alike(each, its)
    elif isinstance(one, Struct):
        assert type(one) is type(other)
        for name in one.__struct_fields__:
            assert_alike(getattr(one, name), getattr(other, name))
    else:
        assert one == other


def shared(nodes: Sequence[Node]) -> list[list[int]]:
    """The places of layers with weights that stand in several nodes."""
    places: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        if not node.layer.__struct_config__.eq:
            places.setdefault(id(node.layer), []).append(place)
    return [each for each in places.values() if len(each) > 1]


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(describable())
def test_random_graphs(form: str, dtype: str, case: Case) -> None:
    model = in_precision(case.model, dtype)
    assert_same(model, converted(model, form), case)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_random_graphs_of_every_family_of_layers(family: str, data: st.DataObject) -> None:
    """The layers are the same one by one; a linear one may follow a score."""
    model = data.draw(describable(families=[family])).model
    again = converted(model, "npz")
    kept = again.nodes[: len(model.nodes)]
    assert_alike(kept, model.nodes)
    assert {node.layer for node in again.nodes[len(kept) :]} <= {Activation("linear")}
    assert shared(kept) == shared(model.nodes)
    assert_alike(again.inputs, model.inputs)
    assert [replace(head, name=None) for head in again.heads] == list(model.heads)
    assert again.by_step == model.by_step


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(describable(families=FAMILIES))
def test_random_graphs_of_all_layers_explain_alike(case: Case) -> None:
    assert_same(case.model, converted(case.model, "npz"), case)


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(describable())
def test_numbers_that_float32_holds_are_written_as_such_and_no_others(case: Case) -> None:
    short = in_precision(in_precision(case.model, "float32"), "float64")
    arrays = narrowed(convert(short, "short").arrays)
    assert {array.dtype.name for array in arrays.values()} == {"float32"}
    assert_same(short, converted(short, "npz", narrow=True), case)
    assert_same(case.model, converted(case.model, "npz", narrow=True), case)


@pytest.fixture
def graph(small):
    """Two outputs of one LSTM, a softmax that is no output's, and an attention."""
    small.arrays |= {"v": np.array([0.5, -1.0]), "A": np.ones((2, 2))}
    embedding, lstm, dense = small.mapping["layers"]
    lstm["lstm"]["returns"] = "sequence"
    square = {"weights": "A", "layout": "classes_by_features"}
    small.mapping["layers"] = [
        {"name": "embedding_1", **embedding},
        {"name": "states", **lstm},
        {"attention": {"weights": "v"}},
        {"name": "inner", "dense": {**square, "activation": "softmax"}},
        {"name": "dense_2", **dense},
        {"name": "chances", "activation": "softmax"},
        {"name": "other", "from": "inner", "dense": square},
    ]
    small.mapping["outputs"] = ["chances", "other"]
    return small


def reloaded(small) -> tuple[Model, Model]:
    model = load_model(small.save(), None, np.dtype(np.float64)).model
    return model, converted(model, "npz")


def test_names_of_outputs_and_their_activations_are_kept(graph):
    model, again = reloaded(graph)
    assert model.heads == (Head(3, "softmax", "chances"), Head(2, "linear", "other"))
    assert again.heads == model.heads
    assert [node.sources for node in again.nodes] == [node.sources for node in model.nodes]


@pytest.mark.parametrize("outputs", [["chances", "other"], ["other", "chances"]])
def test_a_regressor_stays_one(graph, outputs):
    graph.mapping |= {"outputs": outputs, "task": "regression"}
    model, again = reloaded(graph)
    assert again.heads == model.heads
    assert [head.size for head in again.heads] == [1] * 5
    assert model.regression
    assert again.regression


def test_a_regressor_of_one_unit_is_no_classifier(small):
    small.arrays |= {"V": small.arrays["V"][:1], "c": np.zeros(1)}
    small.mapping["task"] = "regression"
    assert [model.regression for model in reloaded(small)] == [True, True]


def test_a_softmax_within_the_score_is_not_taken_for_the_heads(small):
    """Keras writes such a model: Dense(softmax), and a linear activation behind it."""
    small.dense["activation"] = "softmax"
    small.mapping["layers"].append({"activation": "linear"})
    model, again = reloaded(small)
    assert model.heads == again.heads == (Head(3, "linear"),)


def test_a_chain_needs_no_names(small):
    model = load_model(small.save(), None, np.dtype(np.float64)).model
    document = convert(model, "model").document
    assert [list(layer) for layer in document["layers"]] == [["embedding"], ["lstm"], ["dense"]]
    assert "outputs" not in document


def test_text_settings_read_back(small):
    """Labels that look like numbers, ids that leave rows free, patterns with odd characters."""
    small.vocabulary = "the\nfilm\n"
    small.mapping |= {
        "tokens": {
            "offset": 1,
            "start": 0,
            "unknown": 4,
            "lowercase": True,
            "remove": "[:#'\"\\n]",
        },
        "padding": {"side": "post", "length": 7, "value": 3},
    }
    model = load_model(small.save(), None, np.dtype(np.float64)).model
    model = replace(model, labels=("1e5", "true", "a: b #c"))
    found = convert(model, "again")
    assert found.vocabularies == {"again-vocab.json": {"the": 1, "film": 2}}
    path = small.folder / "again.npz"
    with path.open("wb") as file:
        WRITERS["npz"](file, found.arrays)
    small.write("again-vocab.json", '{"the": 1, "film": 2}')
    small.write("again.yaml", commented("A model.", found.document, {}))
    again = load_model(path, None, model.dtype).model
    assert again.only_input.vocabulary == model.only_input.vocabulary
    assert again.only_input.tokenization == model.only_input.tokenization
    assert again.labels == model.labels
    assert again.only_input.padding == model.only_input.padding
    assert yaml.safe_load((small.folder / "again.yaml").read_text())["tokens"]["limit"] == 5
