"""Packing sequences and unpacking results are each other's inverse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from together import make_model

from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.text import Padding
from lstm_lrp_cli.sequences.batching import batches, make_batch
from lstm_lrp_cli.sequences.sequence import Sequence
from lstm_lrp_cli.sequences.tokens import SKIPPED

MODEL = make_model(Embedding(np.ones((9, 2))), Dense(np.ones((2, 2)), None), classes=2)
IDS = st.lists(st.integers(0, 8) | st.just(SKIPPED), max_size=7)
SEQUENCES = st.lists(IDS, min_size=1, max_size=6)
PADDINGS = st.none() | st.builds(
    Padding,
    side=st.sampled_from(["pre", "post", None]),
    length=st.integers(0, 9),
    value=st.integers(0, 8),
    masked=st.booleans(),
    truncate=st.sampled_from([None, "pre", "post"]),
)


def plainly_kept(tokens, padding):
    """Whether each token is run: the tokenizer leaves some out, then some are cut, then masked."""
    places = [place for place, token in enumerate(tokens) if token != SKIPPED]
    if padding and padding.truncate:
        cut = max(len(places) - padding.length, 0)
        places = places[cut:] if padding.truncate == "pre" else places[: len(places) - cut]
    if padding and padding.masked:
        places = [place for place in places if tokens[place] != padding.value]
    return [place in places for place in range(len(tokens))]


def sequences(lists):
    return [Sequence(number, np.array(ids, dtype=np.intp)) for number, ids in enumerate(lists)]


@settings(deadline=None, derandomize=True)
@given(SEQUENCES, PADDINGS)
def test_every_step_comes_back_to_its_place(lists, padding):
    batch = make_batch(sequences(lists), replace(MODEL, padding=padding))
    found = batch.per_sequence(batch.inputs.astype(np.float64) + 1)
    for sequence, steps in zip(batch.sequences, found, strict=True):
        tokens = sequence.inputs.tolist()
        run = plainly_kept(tokens, padding)
        assert steps.tolist() == [
            token + 1 if kept else 0 for token, kept in zip(tokens, run, strict=True)
        ]
    for sequence, kept in zip(batch.sequences, batch.kept(), strict=True):
        assert kept.tolist() == plainly_kept(sequence.inputs.tolist(), padding)


@settings(deadline=None, derandomize=True)
@given(SEQUENCES, PADDINGS, st.integers(-1, 7))
def test_the_row_of_a_step_is_found_where_the_sequence_runs_it(lists, padding, step):
    batch = make_batch(sequences(lists), replace(MODEL, padding=padding))
    rows = batch.rows_of(np.full(len(lists), step))
    for sequence, row in zip(batch.sequences, rows.tolist(), strict=True):
        tokens = sequence.inputs.tolist()
        if 0 <= step < len(tokens) and plainly_kept(tokens, padding)[step]:
            assert batch.inputs[row] == tokens[step]
        else:
            assert row == -1


@settings(deadline=None, derandomize=True)
@given(
    SEQUENCES,
    st.sampled_from(["pre", "post"]),
    st.integers(0, 9),
    st.sampled_from([None, "pre", "post"]),
)
def test_padding_fills_up_and_cuts_to_its_length_on_its_sides(lists, side, length, truncate):
    padding = Padding(side, length, value=8, truncate=truncate)
    batch = make_batch(sequences(lists), replace(MODEL, padding=padding))
    lengths = batch.packing.lengths.tolist()
    rows = np.split(batch.inputs[batch.packing.by_sequence], np.cumsum(lengths)[:-1])
    for sequence, row in zip(batch.sequences, rows, strict=True):
        tokens = sequence.inputs.tolist()
        run = plainly_kept(tokens, padding)
        tokens = [token for token, kept in zip(tokens, run, strict=True) if kept]
        filling = [8] * (length - len(tokens))
        assert row.tolist() == (filling + tokens if side == "pre" else tokens + filling)


@settings(deadline=None, derandomize=True)
@given(SEQUENCES, st.integers(1, 5), st.integers(1, 12))
def test_batches_hold_every_sequence_once_and_so_many_at_most(lists, most, rows):
    found = list(batches(sequences(lists), MODEL, most, rows))
    numbers = [sequence.number for batch in found for sequence in batch.sequences]
    assert sorted(numbers) == list(range(len(lists)))
    for batch in found:
        assert len(batch.sequences) <= most
        assert batch.packing.rows <= rows or len(batch.sequences) == 1


def test_steps_of_numbers_are_masked_where_every_feature_has_the_value():
    model = make_model(Dense(np.ones((2, 2)), None), classes=2)
    values = np.array([[-1.0, -1.0], [-1.0, 0.5], [2.0, 3.0]])
    masked = replace(model, padding=Padding(value=-1.0, masked=True))
    batch = make_batch([Sequence(0, values)], masked)
    assert batch.packing.lengths.tolist() == [2]
    assert batch.per_sequence(batch.inputs)[0].tolist() == [[0, 0], [-1.0, 0.5], [2.0, 3.0]]


@pytest.mark.parametrize("count", [1, 3])
def test_sequences_without_steps_make_a_batch(count):
    batch = make_batch(sequences([[]] * count), MODEL)
    assert batch.packing.rows == 0
    assert [len(steps) for steps in batch.per_sequence(np.zeros((0, 2)))] == [0] * count
