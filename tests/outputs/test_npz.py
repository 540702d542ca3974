"""NPZ: every number of every explanation, found again by its offsets, and no pickle."""

import io
import json
from itertools import pairwise

import numpy as np
import pytest
from explained import DETAILS, FEATURES, LABELS, explanation_of, explanations_of, layout_of

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.outputs import writer as writers
from lstm_lrp_cli.outputs.npz import NpzWriter


def file_of(layout, *blocks):
    file = io.BytesIO()
    with NpzWriter.sink(file, layout) as sink:
        writer = NpzWriter(sink, layout)
        writer.open()
        for block in blocks:
            writer.write(block)
        writer.close()
    return file.getvalue()


def arrays_of(layout, *blocks):
    with np.load(io.BytesIO(file_of(layout, *blocks)), allow_pickle=False) as file:
        return dict(file)


def texts(arrays, name):
    data, offsets = arrays[f"{name}_bytes"].tobytes(), arrays[f"{name}_offsets"]
    return [data[a:b].decode() for a, b in pairwise(offsets)]


@pytest.mark.parametrize("several", [False, True], ids=["", "several methods"])
@pytest.mark.parametrize("by_step", [False, True], ids=["", "by step"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("part", [1, 2**14], ids=["in parts", "at once"])
def test_each_explanation_is_found_again(monkeypatch, part, detail, dtype, by_step, several):
    monkeypatch.setattr(writers, "PART_VALUES", part)
    layout = layout_of(detail, dtype, by_step=by_step, several=several)
    found = explanations_of(layout)
    arrays = arrays_of(layout, found[:1], found[1:], [])
    methods, amounts = arrays["methods"].tolist(), arrays["ledger_names"].tolist()
    assert arrays["offsets"].shape == (len(found) + 1,)
    for k, each in enumerate(found):
        rows = slice(*arrays["offsets"][k : k + 2])
        relevance = arrays["relevance"][rows]
        assert relevance.dtype == dtype
        wanted = each.relevance if layout.whole(0) else each.relevance_of_steps
        assert np.array_equal(relevance, wanted, equal_nan=True)
        assert arrays["sequence"][k] == each.sequence.number
        assert methods[arrays["method"][k]] == each.method
        gold = each.sequence.gold
        assert arrays["label"][k] == (-1 if gold is None else gold)
        taken = (each.target_number, each.predicted_number) if each.scored else (-1, -1)
        assert (arrays["target"][k], arrays["predicted"][k]) == taken
        scores = each.scores if each.scored else np.full(len(LABELS), np.nan)
        assert np.array_equal(arrays["scores"][k], scores, equal_nan=True)
        assert texts(arrays, "id")[k] == ("" if each.sequence.id is None else str(each.sequence.id))
        if by_step:
            assert arrays["step"][k] == (2 if each.scored else -1)
        if detail in ("token", "dimension"):
            assert texts(arrays, "token")[rows] == list(each.sequence.tokens)
        else:
            assert np.array_equal(arrays["values"][rows], each.sequence.inputs)
        ledger = dict(zip(amounts, arrays["ledger"][k], strict=True))
        shares = each.ledger.shares if each.ledger else {}
        wanted = dict.fromkeys(amounts, np.nan) | shares
        if each.ledger:
            wanted |= {"score": each.ledger.score, "residual": each.ledger.residual}
        if each.ledger and each.ledger.stabilizers_size is not None:
            wanted |= {"stabilizers_size": each.ledger.stabilizers_size}
        assert np.array_equal(list(ledger.values()), list(wanted.values()), equal_nan=True)
    assert arrays["targets"].tolist() == list(LABELS)
    assert json.loads(str(arrays["about"])) == {"model": "m.h5"}
    if detail in ("step", "feature"):
        assert arrays["features"].tolist() == list(FEATURES)


@pytest.mark.parametrize("detail", DETAILS)
def test_arrays_and_their_types_do_not_depend_on_what_is_written(detail):
    layout = layout_of(detail)
    some, none = arrays_of(layout, explanations_of(layout)), arrays_of(layout)
    assert some.keys() == none.keys()
    growing = set(some) - {"about", "methods", "targets", "ledger_names", "features"}
    for name in growing:
        assert some[name].dtype == none[name].dtype
        assert some[name].shape[1:] == none[name].shape[1:]
        assert len(none[name]) == name.endswith("offsets")


def test_memory_does_not_grow_with_what_is_written(monkeypatch):
    """What exceeds a little is in temporary files."""
    monkeypatch.setattr("lstm_lrp_cli.outputs.npz.IN_MEMORY", 50)
    layout = layout_of("dimension")
    found = explanations_of(layout)
    with NpzWriter.sink(io.BytesIO(), layout) as sink:
        writer = NpzWriter(sink, layout)
        writer.open()
        writer.write(found)
        kept = dict(sink._gathered)
        assert {name for name, file in kept.items() if file.name} >= {"relevance", "scores"}
    assert all(file.closed for file in kept.values())


def test_features_of_other_names_are_refused():
    layout = layout_of("feature")

    def one(number, names):
        sequence = Sequence(number, np.ones((2, 3)), features=names)
        return explanation_of(layout.model, sequence, np.ones(3), 0, np.ones((2, 3)), None)

    first, other = one(0, ("x", "y", "z")), one(1, ("z", "y", "x"))
    for blocks in ([[first, other]], [[first], [other]]):
        with pytest.raises(UnusableInput, match="do not have the same names"):
            file_of(layout, *blocks)
