"""Packing sequences and unpacking results are each other's inverse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model
from models import with_input
from msgspec.structs import replace
from msgspec.structs import replace as replace_struct

from lstm_lrp_cli.inputs.batching import batches, make_batch, masked_steps, real_lengths
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.inputs.tokens import SKIPPED
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.text import Padding, Tokenization, Vocabulary

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
    batch = make_batch(sequences(lists), with_input(MODEL, padding=padding))
    found = batch.packed[0].per_sequence(batch.packed[0].array.astype(np.float64) + 1)
    for sequence, steps in zip(batch.sequences, found, strict=True):
        tokens = sequence.inputs.tolist()
        run = plainly_kept(tokens, padding)
        expected = [token + 1 if kept else np.nan for token, kept in zip(tokens, run, strict=True)]
        np.testing.assert_array_equal(steps, expected)
    for sequence, kept in zip(batch.sequences, batch.packed[0].kept(), strict=True):
        assert kept.tolist() == plainly_kept(sequence.inputs.tolist(), padding)


@settings(deadline=None, derandomize=True)
@given(SEQUENCES, PADDINGS, st.integers(-1, 7))
def test_a_real_step_is_found_by_its_number_among_them(lists, padding, number):
    model = with_input(MODEL, padding=padding)
    batch = make_batch(sequences(lists), model)
    found = zip(*batch.packed[0].find(np.full(len(lists), number)), strict=True)
    for sequence, real, (row, position) in zip(batch.sequences, batch.real, found, strict=True):
        tokens = sequence.inputs.tolist()
        places = np.flatnonzero(plainly_kept(tokens, padding)).tolist()
        assert real == len(places)
        if 0 <= number < len(places):
            assert position == places[number]
            assert batch.packed[0].array[row] == tokens[position]
        else:
            assert (row, position) == (-1, -1)


@settings(deadline=None, derandomize=True)
@given(SEQUENCES, PADDINGS, st.booleans())
def test_steps_are_counted_that_the_model_is_run_on(lists, padding, skip):
    """Ids of SKIPPED are there where unknown tokens are left out, and count among the unknown."""
    if not skip:
        lists = [[number for number in ids if number != SKIPPED] for ids in lists]
    words = Vocabulary({"a": 0}, 9)
    model = with_input(
        MODEL, padding=padding, vocabulary=words, tokenization=Tokenization(skip=skip)
    )
    given = [
        replace_struct(sequence, unknown=ids.count(SKIPPED))
        for sequence, ids in zip(sequences(lists), lists, strict=True)
    ]
    assert real_lengths(given, model)[0].tolist() == [sum(plainly_kept(i, padding)) for i in lists]
    unmasked = replace(padding, masked=False) if padding else None
    seen = [sum(plainly_kept(ids, unmasked)) for ids in lists]
    assert masked_steps(given, model)[0] == sum(seen) - real_lengths(given, model)[0].sum()


@settings(deadline=None, derandomize=True)
@given(
    SEQUENCES,
    st.sampled_from(["pre", "post"]),
    st.integers(0, 9),
    st.sampled_from([None, "pre", "post"]),
)
def test_padding_fills_up_and_cuts_to_its_length_on_its_sides(lists, side, length, truncate):
    padding = Padding(side, length, value=8, truncate=truncate)
    batch = make_batch(sequences(lists), with_input(MODEL, padding=padding))
    lengths = batch.packed[0].packing.lengths.tolist()
    rows = np.split(
        batch.packed[0].array[batch.packed[0].packing.by_sequence], np.cumsum(lengths)[:-1]
    )
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
        assert batch.packed[0].packing.rows <= rows or len(batch.sequences) == 1


def test_steps_of_numbers_are_masked_where_every_feature_has_the_value():
    model = make_model(Dense(np.ones((2, 2)), None), classes=2)
    values = np.array([[-1.0, -1.0], [-1.0, 0.5], [2.0, 3.0]])
    masked = with_input(model, padding=Padding(value=-1.0, masked=True))
    batch = make_batch([Sequence(0, values)], masked)
    assert batch.packed[0].packing.lengths.tolist() == [2]
    expected = [[np.nan, np.nan], [-1.0, 0.5], [2.0, 3.0]]
    np.testing.assert_array_equal(batch.packed[0].per_sequence(batch.packed[0].array)[0], expected)


@pytest.mark.parametrize("count", [1, 3])
def test_sequences_without_steps_make_a_batch(count):
    batch = make_batch(sequences([[]] * count), MODEL)
    assert batch.packed[0].packing.rows == 0
    assert [len(steps) for steps in batch.packed[0].per_sequence(np.zeros((0, 2)))] == [0] * count
