"""What several inputs are given: read in every form, and packed so that each is a packed batch."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from several import FEATURES, INPUTS, NUMBERS, TEXTS, SeveralInputs

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.batching import batches, make_batch
from lstm_lrp_cli.inputs.memory import sequences
from lstm_lrp_cli.inputs.read import Source, read_sequences
from lstm_lrp_cli.inputs.sequence import FurtherPart, Sequence
from lstm_lrp_cli.model.layers import Embedding
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.text import Padding


@pytest.fixture
def several(tmp_path):
    return SeveralInputs(tmp_path)


@pytest.fixture
def model(several):
    return lrp.load(several.save())


def of(found):
    """What the inputs of sequences are given, as plain values."""
    return [
        [(part.tokens, part.features, part.unknown, part.inputs.tolist()) for part in each.parts]
        for each in found
    ]


def read(model, *files, **settings):
    first, *others = map(str, files)
    return list(read_sequences(Source(first, others=tuple(others), **settings), model))


class TestForms:
    def test_lines_hold_what_was_written(self, several, model):
        found = read(model, several.lines())
        assert [each.number for each in found] == list(range(6))
        assert [each.id for each in found] == [f"r{k}" for k in range(6)]
        for each, text, series, person in zip(
            found, TEXTS, several.series, several.people, strict=True
        ):
            review, wind, vector = each.parts
            assert review.tokens == tuple(text.lower().split())
            assert np.array_equal(wind.inputs, series)
            assert np.array_equal(vector.inputs, person[np.newaxis])
            assert len(each) == len(review.tokens) + len(series) + 1
        assert [each.unknown for each in found] == [0, 0, 2, 0, 0, 0]

    def test_a_file_for_each_gives_the_same_in_any_order(self, several, model):
        expected = of(read(model, several.lines()))
        files = several.files()
        assert of(read(model, *files)) == of(read(model, *files[::-1])) == expected
        by_name = dict(file.split("=", 1) for file in files)
        assert of(lrp.read(by_name, model)) == expected

    def test_what_a_program_has_is_the_same(self, several, model):
        expected = of(read(model, several.lines()))
        by_name = {"review": list(TEXTS), "wind": several.series, "person": several.people}
        assert of(sequences(by_name, model)) == expected
        one_by_one = ({name: each[name] for name in INPUTS} for each in several.objects)
        assert of(sequences(one_by_one, model)) == expected

    def test_a_dict_of_one_sequence(self, several, model):
        one = {"review": "not bad", "wind": several.series[1], "person": several.people[1]}
        assert of(sequences(one, model)) == of(read(model, several.lines()))[1:2]

    @pytest.mark.parametrize("ending", ["npz", "h5"])
    def test_an_array_for_each(self, several, model, ending):
        rng = np.random.default_rng(0)
        arrays = {
            "person": several.people,
            "review": rng.integers(0, 6, (6, 4)),
            "wind": rng.normal(size=(6, 2, FEATURES)),
        }
        path = several.folder / f"in.{ending}"
        if ending == "npz":
            np.savez(path, **arrays)
        else:
            import h5py

            with h5py.File(path, "w") as file:
                for name, array in arrays.items():
                    file[name] = array
        found = read(model, path)
        assert len(found) == 6
        for number, each in enumerate(found):
            for name, part in zip(INPUTS, each.parts, strict=True):
                assert np.array_equal(part.inputs.ravel(), arrays[name][number].ravel())

    def test_lines_may_hold_tokens_ids_and_the_names_of_features(self, several, model):
        line = {
            "review": ["film", "BAD"],
            "wind": [],
            "person": [[1, 2, 3]],
            "features": {"person": ["age", "income", "visits"]},
        }
        [one] = read(model, several.write("a.jsonl", json.dumps(line)))
        assert one.tokens == ("film", "BAD")
        assert one.others[0].inputs.shape == (0, FEATURES)
        assert one.others[1].features == ("age", "income", "visits")
        [one] = read(model, several.write("a.jsonl", json.dumps({**line, "review": [3, 4]})))
        assert one.tokens == ("not", "bad")
        text = several.write("a.jsonl", json.dumps({**line, "review": "3 4"}))
        assert read(model, text, ids=True)[0].tokens == ("not", "bad")

    def test_labels_are_those_of_the_lines_or_of_the_file_that_has_them(self, several, model):
        golds = [0, 1, 1, 0, 1, 0]
        assert [each.gold for each in read(model, several.lines(), labelled=True)] == golds
        files = several.files()
        lines = (f"{gold}\t{text}\n" for gold, text in zip(golds, TEXTS, strict=True))
        several.write("review.txt", "".join(lines).replace("0\t\n", "\n"))
        found = [each.gold for each in read(model, *files, labelled=True)]
        assert found == [0, 1, 1, None, 1, 0]


class TestErrors:
    @pytest.fixture
    def refused(self, several, model):
        def refuse(*files, **settings):
            with pytest.raises(UnusableInput) as error:
                read(model, *files, **settings)
            assert "\n" not in str(error.value)
            return str(error.value)

        return refuse

    @pytest.fixture
    def line(self, several, refused):
        """What is said of a line that lacks something, or has something else."""

        def of_line(**changes):
            whole = {"review": "bad", "wind": [[1, 2]], "person": [1, 2, 3], **changes}
            kept = {name: value for name, value in whole.items() if value is not None}
            return refused(several.write("a.jsonl", json.dumps(kept)))

        return of_line

    def test_name_what_a_line_lacks_and_all_ways_to_give_it(self, line):
        problem = line(wind=None)
        assert "a.jsonl: line 1: has no `wind`" in problem
        assert "review=FILE wind=FILE person=FILE" in problem

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"person": [1, 2]}, "person: has 2 features"),
            ({"person": [[1, 2, 3], [1, 2, 3]]}, "person: has 2 steps, and the model takes one"),
            ({"person": []}, "person: has 0 steps"),
            ({"wind": [[1, 2], [1]]}, "wind: its steps have different numbers"),
            ({"wind": [["a", 2]]}, "Expected `float`, got `str` - at `$.wind[0][0]`"),
            ({"review": 7}, "Expected `array`, got `int` - at `$.review`"),
            ({"review": ["bad", 3]}, "review: its `tokens` mix texts and ids"),
            ({"review": [9]}, "review: token id 9 is out of range"),
            ({"person": [float("nan"), 2, 3]}, "person: feature `feature_0` is nan at step 0"),
        ],
    )
    def test_name_the_input_of_what_is_wrong(self, line, changes, said):
        assert said in line(**changes)

    def test_of_a_blank_line(self, several, refused):
        assert "is blank, and a vector cannot be empty" in refused(several.write("a.jsonl", "\n\n"))

    @pytest.mark.parametrize("name", ["review.txt", "person.npy"])
    def test_of_one_input_alone(self, several, refused, name):
        several.files()
        said = refused(several.folder / name)
        assert f"is one .{name.partition('.')[2]}, and the model has the inputs" in said
        assert ", ".join(INPUTS) in said

    def test_of_files_that_are_missing_unknown_or_given_twice(self, several, refused):
        files = several.files()
        assert "has no file `person`" in refused(*files[:2])
        assert "names no input" in refused(*files[:2], files[2].replace("person=", "persn="))
        assert "gives an input twice" in refused(*files, files[0])
        assert "names no input" in refused(*files, files[0].partition("=")[2])
        assert "can be read once" in refused("review=-", "wind=-", files[2])

    def test_of_files_of_different_length(self, several, refused):
        files = several.files()
        np.save(several.folder / "person.npy", several.people[:4])
        said = refused(*files)
        assert "person.npy: ends after 4 sequences" in said
        assert "review.txt has more" in said

    def test_of_arrays_that_are_missing_unknown_or_misshaped(self, several, refused):
        arrays = {
            "review": np.zeros((3, 4), int),
            "wind": np.zeros((3, 4, FEATURES)),
            "person": np.zeros((3, NUMBERS)),
        }

        def of_arrays(**changes):
            path = several.folder / "a.npz"
            whole = arrays | changes
            np.savez(path, **{name: each for name, each in whole.items() if each is not None})
            return refused(path)

        assert "has no array `wind` (holds review, person)" in of_arrays(wind=None)
        assert "has array `x`, which is no input" in of_arrays(x=np.zeros(3))
        assert "person: has shape (3, 2); expected vectors: (sequences, 3)" in of_arrays(
            person=np.zeros((3, 2))
        )
        assert "person: ends after 2 sequences" in of_arrays(person=np.zeros((2, NUMBERS)))

    def test_of_labels_that_no_file_has(self, several, refused):
        files = several.files()
        np.save(several.folder / "ids.npy", np.zeros((6, 2), int))
        files[0] = f"review={several.folder / 'ids.npy'}"
        assert "wind.npz: has no true classes `y`" in refused(*files, labelled=True)
        files[1] = f"wind={several.folder / 'wind.npy'}"
        assert "nor has another input's file" in refused(*files, labelled=True)

    def test_of_a_program(self, several, model):
        whole = {"review": list(TEXTS), "wind": several.series, "person": several.people}
        for inputs, said in (
            (TEXTS[0], "several inputs, in a dict: {'review': .., 'wind': .., 'person': ..}"),
            (["bad"], "sequence 0: is of type str; the model takes several inputs"),
            ({"review": ["bad"]}, "has no key `wind` (holds review)"),
            (whole | {"other": 1}, "has key `other`, which is no input"),
            (whole | {"review": ["bad"]}, "input review: ends after 1 sequence"),
            (whole | {"person": several.people[:, :2]}, "person: input: has shape (6, 2)"),
            ([Sequence(0, np.zeros(1, int))], "has 1 inputs, and the model 3"),
        ):
            with pytest.raises(UnusableInput) as error:
                list(sequences(inputs, model))
            assert said in str(error.value)


def test_a_model_of_one_input_takes_no_second(several):
    from models import KERAS

    model = lrp.load(KERAS.model)
    with pytest.raises(UnusableInput, match="is a second INPUT, and the model has one input"):
        read(model, KERAS.sequences, KERAS.sequences)


# Nothing runs these models.
TWO = Model(
    (),
    (),
    (Head(2),),
    np.dtype(np.float64),
    (
        Input(2, Embedding(np.ones((9, 2))), "words", padding=Padding("pre", 3, 8)),
        Input(1, name="series", padding=Padding(value=-1.0, masked=True)),
        Input(2, name="person", steps=False),
    ),
)
GIVEN = st.lists(
    st.tuples(
        st.lists(st.integers(0, 8), max_size=6), st.lists(st.sampled_from([-1.0, 0.5]), max_size=4)
    ),
    min_size=1,
    max_size=9,
)


def made(lists):
    return [
        Sequence(
            number,
            np.array(ids, dtype=np.intp),
            others=(
                FurtherPart(np.array(values).reshape(-1, 1)),
                FurtherPart(np.array([[number, -number]], dtype=float)),
            ),
        )
        for number, (ids, values) in enumerate(lists)
    ]


@given(GIVEN, st.integers(1, 5), st.integers(1, 30))
def test_batches_hold_every_sequence_once_and_no_input_grows_longer(lists, most, rows):
    found = list(batches(made(lists), TWO, most, rows))
    numbers = [sequence.number for batch in found for sequence in batch.sequences]
    assert sorted(numbers) == list(range(len(lists)))
    for batch in found:
        assert len(batch.sequences) <= most
        sizes = sum(packed.packing.rows for packed in batch.packed)
        assert sizes <= rows or len(batch.sequences) == 1
        for packed in batch.packed:  # which Packing checks too
            assert np.all(np.diff(packed.packing.lengths) <= 0)


@given(GIVEN)
def test_every_step_of_every_input_comes_back_to_its_place(lists):
    for batch in batches(made(lists), TWO, 9, 999):
        words, series, person = batch.packed
        for sequence, ids, values, numbers in zip(
            batch.sequences,
            words.per_sequence(words.array),
            series.per_sequence(series.array),
            person.per_sequence(person.array),
            strict=True,
        ):
            assert np.array_equal(ids, sequence.inputs)
            given_values = sequence.others[0].inputs
            assert np.array_equal(np.isnan(values), given_values == -1.0)
            assert np.array_equal(values[~np.isnan(values)], given_values[given_values != -1.0])
            assert numbers.tolist() == [[sequence.number, -sequence.number]]
        real = [
            len(sequence.inputs) + int((sequence.others[0].inputs != -1.0).sum()) + 1
            for sequence in batch.sequences
        ]
        assert batch.real.tolist() == real


def test_sequences_that_fit_are_one_batch():
    lists = [([1] * 5, [0.5] * 3), ([1] * 4, [0.5] * 3), ([1] * 4, [0.5] * 2)]
    assert len(list(batches(made(lists), TWO, 9, 999))) == 1
    batch = make_batch(made(lists), TWO)
    assert batch.packed[0].packing.lengths.tolist() == [5, 4, 4]
    assert batch.packed[1].packing.lengths.tolist() == [3, 3, 2]
