"""Arrays of whatever names, and the true classes that stand with them."""

import re

import h5py
import numpy as np
import pytest
from made_models import make_model
from msgspec.structs import replace

from lstm_lrp_cli.errors import LeftOut, UnusableInput
from lstm_lrp_cli.inputs.read import Source, read_sequences
from lstm_lrp_cli.inputs.tables.columns import Columns
from lstm_lrp_cli.inputs.tables.roles import AsSeries
from lstm_lrp_cli.model.layers import Dense, Embedding

NUMBERS = make_model(Dense(np.ones((3, 2)), None), classes=3, labels=("no", "maybe", "yes"))
TOKENS = make_model(Embedding(np.ones((9, 2))), Dense(np.ones((3, 2)), None), classes=3)
VECTORS = replace(NUMBERS, inputs=(replace(NUMBERS.only_input, steps=False),))

RNG = np.random.default_rng(3)
TRAIN, TEST = RNG.standard_normal((4, 5, 2)), RNG.standard_normal((3, 5, 2))


@pytest.fixture(params=["npz", "h5"])
def arrays(request, tmp_path):
    """Read a file with these arrays."""

    def read(model=NUMBERS, label=None, array=None, labelled=False, **named):
        path = tmp_path / f"in.{request.param}"
        if request.param == "npz":
            np.savez(path, **named)
        else:
            with h5py.File(path, "w") as file:
                for name, values in named.items():
                    values = np.asarray(values)
                    file[name] = values.astype("S") if values.dtype.kind == "U" else values
        source = Source(str(path), labelled=labelled, columns=Columns(label=label), array=array)
        return list(read_sequences(source, model))

    return read


@pytest.fixture
def refused(arrays):
    def error(**asked):
        with pytest.raises(UnusableInput) as caught:
            arrays(**asked)
        return str(caught.value)

    return error


def values(sequences):
    return [each.inputs.tolist() for each in sequences]


class TestNames:
    def test_the_one_that_fits(self, arrays):
        found = arrays(X_test=TEST, y_test=[0, 1, 2])
        assert values(found) == TEST.tolist()
        assert [each.gold for each in found] == [None, None, None]

    def test_others_are_told(self, arrays):
        with pytest.warns(LeftOut, match="X_test is read, and not mean"):
            arrays(X_test=TEST, mean=np.zeros((1, 7)))

    def test_several_are_asked(self, arrays, refused):
        both = {"X_train": TRAIN, "X_test": TEST}
        error = refused(**both)
        assert re.search(
            r"holds X_\w+ \(\d, 5, 2\), X_\w+ \(\d, 5, 2\), any of which may be", error
        )
        assert "name one: --array X_t" in error
        assert values(arrays(array="X_test", **both)) == TEST.tolist()

    def test_x_goes_before_others(self, arrays):
        with pytest.warns(LeftOut):
            assert values(arrays(x=TEST, before=TRAIN)) == TEST.tolist()

    def test_that_are_not_there(self, refused):
        assert "has no array `Z` (--array); it holds X (3, 5, 2)" in refused(array="Z", X=TEST)

    def test_a_sequence_each(self, arrays):
        found = arrays(run10=TEST[0], run9=TEST[1, :2])
        assert [each.id for each in found] == ["run9", "run10"]
        assert values(found) == [TEST[1, :2].tolist(), TEST[0].tolist()]

    def test_one_sequence_alone(self, arrays):
        [one] = arrays(series=TEST[0])
        assert one.id == "series"

    def test_of_a_shape_that_does_not_fit(self, refused):
        assert "if its features stand before its steps" in refused(X=TEST.swapaxes(1, 2))
        error = refused(X=TEST[..., :1], other=TEST[..., :1])
        assert "expected one array of all sequences, (sequences, steps, 2), or one array" in error

    def test_of_ids(self, arrays):
        ids = np.array([[1, 2, 3], [4, 5, 6]])
        found = arrays(TOKENS, X_test=ids, y_test=[2, 0], labelled=True)
        assert values(found) == ids.tolist()
        assert [each.gold for each in found] == [2, 0]

    def test_of_ids_with_classes_as_many(self, arrays):
        """Columns for classes look like ids as well; their name tells."""
        found = arrays(TOKENS, x=[[1, 2, 3], [4, 5, 6]], y=np.eye(3, dtype=int)[:2], labelled=True)
        assert values(found) == [[1, 2, 3], [4, 5, 6]]
        assert [each.gold for each in found] == [0, 1]

    def test_of_vectors(self, arrays):
        found = arrays(VECTORS, data=TEST[0], y=[0, 1, 2, 0, 1], labelled=True)
        assert values(found) == [[row] for row in TEST[0].tolist()]


class TestLabels:
    @pytest.mark.parametrize(
        "labels",
        [
            [0, 2, 1],
            [0.0, 2.0, 1.0],
            ["no", "yes", "maybe"],
            [[0], [2], [1]],
            np.eye(3)[[0, 2, 1]],
            np.eye(3, dtype=bool)[[0, 2, 1]],
            np.array([0, 2, 1], dtype=np.uint8),
        ],
        ids=["numbers", "floats", "names", "a column", "one-hot", "one-hot of bool", "bytes"],
    )
    def test_are_classes(self, arrays, labels):
        found = arrays(x=TEST, y=labels, labelled=True)
        assert [each.gold for each in found] == [0, 2, 1]

    def test_are_those_of_the_array_that_is_read(self, arrays):
        four = {"X_train": TRAIN, "y_train": [0] * 4, "X_test": TEST, "y_test": [1] * 3}
        found = arrays(array="X_test", labelled=True, **four)
        assert [each.gold for each in found] == [1, 1, 1]

    def test_of_another_name(self, arrays):
        found = arrays(x=TEST, truth=[2, 1, 0], label="truth", labelled=True)
        assert [each.gold for each in found] == [2, 1, 0]

    def test_of_a_sequence_each(self, arrays):
        found = arrays(b=TEST[0], a=TEST[1], labels=["yes", "no"], labelled=True)
        assert [(each.id, each.gold) for each in found] == [("a", 2), ("b", 0)]

    @pytest.mark.parametrize(
        ("labels", "problem"),
        [
            ([0, 1], "holds 2 true classes, and x has more sequences than that"),
            ([0, 1, 2, 0], "holds 4 true classes, and x has 3 sequences; expected as many"),
            ([0, 3, 1], "row 1: label `3`; expected one of no, maybe, yes, or a class number from"),
            ([0, -1, 1], "row 1: label `-1`; expected one of"),
            ([0.0, 1.0, 0.5], "row 2: is 0.5; expected the number of a class"),
            ([0.0, np.nan, 1.0], "row 1: is nan; expected the number of a class"),
            ([[0, 0, 1], [0, 1, 1], [1, 0, 0]], "row 1: is [0, 1, 1]; expected one 1 and else 0"),
            ([[0.2, 0.3, 0.5]] * 3, "row 0: is [0.2, 0.3, 0.5]; expected one 1"),
            (np.ones((3, 4)), "float64 (3, 4); expected the true classes"),
        ],
    )
    def test_that_are_none(self, refused, labels, problem):
        assert problem in refused(x=TEST, y=labels, labelled=True)

    def test_that_are_not_there(self, refused):
        error = refused(x=TEST, labelled=True)
        assert "has no true classes `y` (it holds x (3, 5, 2)); name the array" in error
        assert "has no array `t` (--label); it holds" in refused(x=TEST, label="t", labelled=True)


class TestLabelsInAFileOfTheirOwn:
    @pytest.fixture
    def labels(self, tmp_path):
        np.save(tmp_path / "y.npy", np.array([1, 0]))
        return str(tmp_path / "y.npy")

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("in.npy", TEST[:2]),
            ("in.csv", "g,a,b\nx,1,1\nx,2,2\ny,3,3\n"),
            ("in.jsonl", '{"values": [[1, 2]]}\n{"values": [[3, 4], [5, 6]]}\n'),
        ],
    )
    def test_of_any_input(self, tmp_path, labels, name, content):
        path = tmp_path / name
        if name.endswith(".npy"):
            np.save(path, content)
        else:
            path.write_text(content)
        series = AsSeries(group="g") if name.endswith(".csv") else AsSeries()
        source = Source(str(path), labelled=True, columns=Columns(label=labels), series=series)
        assert [each.gold for each in read_sequences(source, NUMBERS)] == [1, 0]

    def test_of_more_or_less(self, tmp_path, labels):
        np.save(tmp_path / "in.npy", TEST)
        source = Source(str(tmp_path / "in.npy"), labelled=True, columns=Columns(label=labels))
        with pytest.raises(
            UnusableInput, match=r"y.npy: holds 2 true classes, and .*in.npy has mo"
        ):
            list(read_sequences(source, NUMBERS))

    def test_is_asked_for(self, tmp_path):
        np.save(tmp_path / "in.npy", TEST)
        source = Source(str(tmp_path / "in.npy"), labelled=True)
        with pytest.raises(UnusableInput, match=r"no labels of its own; .*: --label y\.npy"):
            list(read_sequences(source, NUMBERS))

    def test_of_python_objects(self, tmp_path):
        """What a data frame's column of texts is."""
        np.save(tmp_path / "in.npy", TEST)
        np.save(tmp_path / "y.npy", np.array(["yes", "no", 1], dtype=object))
        source = Source(str(tmp_path / "in.npy"), columns=Columns(label=str(tmp_path / "y.npy")))
        assert [each.gold for each in read_sequences(source, NUMBERS)] == [2, 0, 1]
        np.save(tmp_path / "y.npy", np.array(["yes", None, 1], dtype=object))
        with pytest.raises(
            UnusableInput, match=r"y\.npy: row 1: is None; expected the number of a"
        ):
            list(read_sequences(source, NUMBERS))

    def test_is_no_name_beside_one_array(self, tmp_path):
        np.save(tmp_path / "in.npy", TEST)
        source = Source(str(tmp_path / "in.npy"), columns=Columns(label="y"))
        with pytest.raises(UnusableInput, match=r"has one array, and none called y; name a file"):
            list(read_sequences(source, NUMBERS))


def test_objects_are_no_numbers(tmp_path):
    np.save(tmp_path / "in.npy", TEST.astype(object))
    with pytest.raises(UnusableInput, match=r"holds Python's objects, .*; save numbers"):
        list(read_sequences(Source(str(tmp_path / "in.npy")), NUMBERS))


@pytest.mark.filterwarnings("error")
def test_the_shape_as_python_2_has_it(tmp_path):
    path = tmp_path / "in.npy"
    np.save(path, TEST)
    path.write_bytes(path.read_bytes().replace(b"(3, 5, 2), } ", b"(3L, 5, 2), }"))
    assert b"(3L," in path.read_bytes()
    assert len(list(read_sequences(Source(str(path)), NUMBERS))) == 3
