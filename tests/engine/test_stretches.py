"""One long sequence is explained stretch by stretch as it is at once, with few of its states."""

import errno
import shutil
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model
from random_models import Case, cases
from together import Explained, explain_by, side_by_side

from lstm_lrp_cli.engine import arrays, forward, recurrent
from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.forward import Given, Runner
from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.engine.methods.contextual_decomposition import ContextualDecomposition
from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Reach, TooLarge
from lstm_lrp_cli.engine.recurrent import run_cell
from lstm_lrp_cli.engine.recurrent.cells import CellRecord, Reading
from lstm_lrp_cli.engine.recurrent.states import CellStates, States
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.engine.stretches import cells as stretched_cells
from lstm_lrp_cli.engine.stretches import held, room, rows
from lstm_lrp_cli.explaining.windows import one_blas_thread
from lstm_lrp_cli.model.layers import Dense, Reverse
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell, Recurrent

EXAMPLES = 8
EVERY_CASE = (
    cases() | cases(families=["recurrent"]) | cases(families=["units"]) | cases(families=["inputs"])
)
METHODS_OF_STEPS = ["gradient", "gradient-x-input", "integrated-gradients", "occlusion"]


@contextmanager
def in_stretches(steps: int) -> Iterator[None]:
    """Take every sequence for a long one, in stretches of so many steps, and every array so too."""
    with (
        patch.object(forward, "LONG_BYTES", -1),
        patch.object(rows, "STEPS", steps),
        patch.object(held, "IN_FILE_FROM", 64),
    ):
        yield


def each_by(case: Case, method: Method, reach: Reach) -> list[Explained]:
    """Explain every sequence in a batch of its own."""
    found: list[Explained] = []
    for k, (sequence, target) in enumerate(zip(case.sequences, case.targets, strict=True)):
        step = None if case.steps is None else [case.steps[k]]
        found += explain_by(method, case.model, [sequence], [target], step, reach)
    return found


def amounts_of(found: Explained) -> Any:
    ledger = found.ledger
    of_ledger = [] if ledger is None else [*ledger.shares.values(), ledger.stabilizers_size or 0.0]
    return np.concatenate([side_by_side(found.relevance), of_ledger])


def assert_same_in_stretches(case: Case, method: Method, reach: Reach, steps: int) -> None:
    at_once = each_by(case, method, reach)
    with in_stretches(steps):
        found = each_by(case, method, reach)
    for one, other in zip(found, at_once, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-12, atol=1e-12)
        expected = amounts_of(other)
        scale = np.abs(np.append(expected, other.scores)).max(initial=1e-300)
        np.testing.assert_allclose(amounts_of(one), expected, rtol=1e-9, atol=1e-10 * scale)


@pytest.mark.parametrize("reach", ["features", "steps"])
@given(case=EVERY_CASE, steps=st.integers(1, 3))
@settings(max_examples=EXAMPLES)
def test_relevance(reach: Reach, case: Case, steps: int) -> None:
    assert_same_in_stretches(case, Lrp(case.rule), reach, steps)


@given(case=EVERY_CASE, steps=st.integers(1, 3), reach=st.sampled_from(["features", "steps"]))
@settings(max_examples=EXAMPLES)
def test_each_cell_is_run_twice_at_most(case: Case, steps: int, reach: Reach) -> None:
    """However layers feed each other: once forward, and once more to explain."""
    counts = Counter[int]()

    def counted(layer: Recurrent, reading: Reading) -> CellRecord:
        counts[id(reading.cell)] += reading.packing.rows
        return run_cell(layer, reading)

    with (
        patch.object(recurrent, "run_cell", counted),
        patch.object(stretched_cells, "run_cell", counted),
    ):
        each_by(case, Lrp(case.rule), reach)
        at_once = counts.copy()
        counts.clear()
        with in_stretches(steps):
            each_by(case, Lrp(case.rule), reach)
    assert counts.keys() <= at_once.keys()  # what feeds no score is not run
    assert all(counts[cell] <= 2 * at_once[cell] for cell in counts)


@pytest.mark.parametrize("name", METHODS_OF_STEPS)
@given(case=EVERY_CASE, steps=st.integers(1, 3), reach=st.sampled_from(["features", "steps"]))
@settings(max_examples=EXAMPLES // 2)
def test_methods(name: str, reach: Reach, case: Case, steps: int) -> None:
    assert_same_in_stretches(case, METHODS[name](Settings(steps=2)), reach, steps)


@given(case=EVERY_CASE, steps=st.integers(1, 3))
@settings(max_examples=EXAMPLES // 2)
def test_decomposition_of_a_span(case: Case, steps: int) -> None:
    assert_same_in_stretches(case, ContextualDecomposition(slice(1, 3)), "steps", steps)


def lstm(*directions: bool, inputs: int = 2, hidden: int = 3, **settings: Any) -> Lstm:
    """A layer with a cell for each direction (whether it reads backwards), of random weights."""
    rng = np.random.default_rng(hidden)

    def cell(backward: bool) -> LstmCell:
        shapes = (4, hidden, inputs), (4, hidden, hidden), (4, hidden)
        weights = [rng.normal(size=shape) / hidden for shape in shapes]
        return LstmCell(*weights, backward=backward)

    return Lstm(tuple(map(cell, directions)), **settings)


def given_of(steps: int, features: int = 2, batch: int = 1) -> list[Given]:
    packing = Packing(np.full(batch, steps, dtype=np.intp))
    return [Given(np.random.default_rng(0).normal(size=(packing.rows, features)), packing)]


class TestWhatIsLong:
    """Sequences whose arrays would take much, and no others, are run so."""

    @pytest.mark.parametrize(
        ("batch", "more", "expected"), [(1, -1, True), (1, 0, False), (2, -1, False)]
    )
    def test_by_its_size(self, batch: int, more: int, expected: bool) -> None:
        model = make_model(lstm(False, returns="last"), Dense(np.eye(3), np.zeros(3)), classes=3)
        size = 10 * forward.row_bytes(model)
        with patch.object(forward, "LONG_BYTES", size + more):
            trace = Runner(model).forward(given_of(10, batch=batch))
        assert trace.records[0].in_stretches is expected

    def test_a_sequence_without_steps_is_not(self) -> None:
        model = make_model(lstm(False, returns="last"), classes=3)
        with in_stretches(2):
            trace = Runner(model).forward(given_of(0))
        assert not trace.records[0].in_stretches
        np.testing.assert_array_equal(trace.scores, 0.0)

    @pytest.mark.parametrize("directions", [(False,), (False, True)])
    def test_it_takes_the_memory_of_a_stretch(self, directions: tuple[bool, ...]) -> None:
        layer = lstm(*directions, hidden=60, returns="last")
        model = make_model(layer, classes=60 * len(directions), dtype="float64")
        steps, peaks = 1200, []
        for long in (2**40, -1):
            with (
                patch.object(forward, "LONG_BYTES", long),
                patch.object(rows, "STEPS", 50),
                patch.object(arrays, "_memory", arrays._Memory()),
                one_blas_thread(),
            ):
                tracemalloc.start()
                trace = Runner(model).forward(given_of(steps))
                Lrp(LrpRule(0.1, 0.0, "lrp-all")).explain(trace, Chosen(np.array([0])), "features")
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
        assert peaks[1] < peaks[0] / 3


@pytest.mark.parametrize("directions", [(False,), (False, True)])
def test_states_are_carried(directions: tuple[bool, ...]) -> None:
    model = make_model(
        lstm(*directions, returns="last", stateful=True), classes=3 * len(directions), stateful=1
    )
    [given_rows] = given_of(7)
    begun = States({0: [CellStates(np.full((1, 3), 0.3), np.full((1, 3), -0.2))] * len(directions)})
    at_once = Runner(model).forward([given_rows], begun)
    with in_stretches(3):
        found = Runner(model).forward([given_rows], begun)
    np.testing.assert_array_equal(found.scores, at_once.scores)
    for one, other in zip(found.ended.cells[0], at_once.ended.cells[0], strict=True):
        np.testing.assert_array_equal(one.written_out, other.written_out)
    lrp, chosen = Lrp(LrpRule(0.1, 0.0, "lrp-all")), Chosen(np.array([1]))
    ledgers = [lrp.explain(trace, chosen, "steps").ledgers for trace in (found, at_once)]
    shares = [each.shares["initial_state"] for each in ledgers if each is not None]
    np.testing.assert_allclose(*shares, rtol=1e-12)
    assert shares[0] != 0.0


class TestRoom:
    """What there is no room for is refused before it is taken."""

    @pytest.fixture
    def little(self) -> Iterator[None]:
        with patch.object(room, "ASKED_FROM", -1), patch.object(room, "available", lambda: 100):
            yield

    @pytest.mark.usefixtures("little")
    def test_a_layer_that_takes_all_steps_at_once(self) -> None:
        model = make_model(Reverse(), lstm(False, returns="last"), classes=3)
        with in_stretches(2), pytest.raises(TooLarge) as caught:
            Runner(model).forward(given_of(10))
        assert caught.value.does == "a layer (reverse)"
        assert (caught.value.needed, caught.value.there) == (3 * 10 * 2 * 8, 100)

    @pytest.mark.usefixtures("little")
    def test_the_error(self, run: Any, small: Any) -> None:
        text = small.write("in.txt", "the film is not bad " * 4)
        # Of one vector the layers above take less than is asked about.
        with patch.object(forward, "LONG_BYTES", -1), patch.object(room, "ASKED_FROM", 300):
            result = run("explain", small.save(), text, "--by", "dimension", "-q")
        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        assert line.startswith("lrp: sequence 0: has 20 steps, of which what its layers give ")
        assert "bytes of memory, and there is 100 bytes; expected shorter sequences" in line

    def test_it_is_known(self) -> None:
        assert room.available() > 2**20

    @pytest.mark.parametrize(
        ("taken", "expected"), [("anon 24\nfile 9\n", 1000), ("other 1\n", None)]
    )
    def test_of_a_group_of_processes(
        self, taken: str, expected: int | None, tmp_path: Path
    ) -> None:
        (tmp_path / "memory.max").write_text("1024\n", encoding="ascii")
        (tmp_path / "memory.stat").write_text(taken, encoding="ascii")
        with patch.object(room, "ROOT", tmp_path):
            found = room.available()
        assert found == expected or (expected is None and found > 1024)


class TestHeld:
    """Large amounts are in a file without a name."""

    def test_in_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(held, "IN_FILE_FROM", 0)
        array = held.held((5, 2), np.dtype(np.float32))
        assert isinstance(array, held.InFile)
        assert list(tmp_path.iterdir()) == []
        array.write(slice(1, 3), np.array([[1.0, 2.0], [3.0, 4.0]]))
        np.testing.assert_array_equal(array.read(slice(2, 4)), [[3.0, 4.0], [0.0, 0.0]])
        assert array.whole().sum() == 10.0
        assert array.whole().dtype == np.float32

    def test_without_a_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(held, "IN_FILE_FROM", 0)
        monkeypatch.setattr(tempfile, "TemporaryFile", Mock(side_effect=FileNotFoundError))
        assert isinstance(held.held((5, 2), np.dtype(np.float32)), held.InMemory)

    def test_of_a_disk_without_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(held, "IN_FILE_FROM", 0)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: Mock(free=79))
        assert isinstance(held.held((5, 2), np.dtype(np.float64)), held.InMemory)
        assert isinstance(held.held((5, 2), np.dtype(np.float32)), held.InFile)

    def test_a_full_disk_names_its_folder(self) -> None:
        file = Mock(write=Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
        array = held.InFile(file, (5, 2), np.dtype(np.float32))
        with pytest.raises(OSError, match="No space left") as caught:
            array.write(slice(0, 1), np.zeros((1, 2)))
        assert caught.value.filename == tempfile.gettempdir()
