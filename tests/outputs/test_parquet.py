"""Parquet: the rows of the tables and the objects of JSON lines, in columns with types."""

import io
import json
import pickle

import numpy as np
import pytest
from explained import DETAILS, LABELS, explanations_of, layout_of
from models import json_lines, table
from msgspec.structs import force_setattr

from lstm_lrp_cli.outputs import OUTPUTS
from lstm_lrp_cli.outputs.jsonl import JsonLinesWriter
from lstm_lrp_cli.outputs.table import TableWriter

KINDS = {"by_step": [False, True], "several": [False, True]}


@pytest.fixture(autouse=True)
def pyarrow(framework):
    return framework("pyarrow")


@pytest.fixture
def parquet(framework):
    return framework("pyarrow.parquet")


def file_of(form, layout, *blocks):
    """A whole Parquet file."""
    file = io.BytesIO()
    with OUTPUTS[form].sink(file, layout) as sink:
        writer = OUTPUTS[form].writer(sink, layout)
        writer.open()
        for block in blocks:
            writer.write(block)
        writer.close()
    return file.getvalue()


def text_of(make, layout, *blocks):
    file = io.StringIO(newline="")
    writer = make(file, layout)
    writer.open()
    for block in blocks:
        writer.write(block)
    writer.close()
    return file.getvalue()


@pytest.mark.parametrize("several", [False, True], ids=["", "several methods"])
@pytest.mark.parametrize("by_step", [False, True], ids=["", "by step"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("detail", DETAILS)
class TestBothForms:
    def test_rows_are_those_of_the_table(self, parquet, detail, dtype, by_step, several):
        layout = layout_of(detail, dtype, by_step=by_step, several=several)
        found = explanations_of(layout)
        rows = parquet.read_table(io.BytesIO(file_of("parquet", layout, found[:2], found[2:])))
        wanted = table(text_of(lambda f, one: TableWriter(f, one, "\t"), layout, found))
        assert rows.column_names == list(wanted[0])
        assert len(rows) == len(wanted) > 10
        for name, column in zip(rows.column_names, rows.columns, strict=True):
            texts = [row[name] for row in wanted]
            kind = {"float": np.float32, "double": np.float64, "int64": int, "int32": int}.get(
                str(column.type), str
            )
            missing = name == "relevance"  # which masked steps have none of
            read = [None if missing and not text else kind(text) for text in texts]
            assert column.to_pylist() == read
            assert (column.null_count > 0) == missing
            assert rows.schema.field(name).nullable == missing
        numbers = {str(rows.schema.field(name).type) for name in ("score", "relevance")}
        assert numbers == {{"float32": "float", "float64": "double"}[dtype]}

    def test_nested_rows_are_the_objects_of_json_lines(
        self, parquet, detail, dtype, by_step, several
    ):
        layout = layout_of(detail, dtype, by_step=by_step, several=several)
        found = explanations_of(layout)
        data = file_of("parquet-nested", layout, found[:2], found[2:])
        read = parquet.read_table(io.BytesIO(data)).to_pylist()
        lines = json_lines(text_of(JsonLinesWriter, layout, found))
        assert len(read) == len(lines) == len(found)

        def same(here, there):
            if isinstance(there, float):
                return here == np.dtype(dtype).type(there)
            if isinstance(there, list):
                return len(here) == len(there) and all(map(same, here, there))
            return here == there

        for row, line in zip(read, lines, strict=True):
            unknown = {"unknown"} if "tokens" in line else set()
            assert set(row) == {*line, *unknown, "label"}
            assert row.pop("unknown", []) == line.pop("unknown", [])
            ledger, wanted = row.pop("ledger"), line.pop("ledger")
            assert (ledger is None) == (wanted is None)
            if wanted is not None:
                given = {name: amount for name, amount in ledger.items() if amount is not None}
                assert given.keys() == wanted.keys()
                assert all(given[name] == wanted[name] for name in wanted if name != "score")
            line["id"] = None if line["id"] is None else str(line["id"])
            for name, value in row.items():
                assert same(value, line.get(name)), name

    @pytest.mark.parametrize("form", ["parquet", "parquet-nested"])
    def test_the_schema_does_not_depend_on_what_is_written(
        self, parquet, detail, dtype, by_step, several, form
    ):
        layout = layout_of(detail, dtype, by_step=by_step, several=several)
        found = explanations_of(layout)
        empty = [each for each in found if not len(each.sequence)]
        schemas = [
            parquet.read_schema(io.BytesIO(file_of(form, layout, block)))
            for block in (found, empty, [])
        ]
        assert schemas[0].equals(schemas[1], check_metadata=True)
        assert schemas[0].equals(schemas[2], check_metadata=True)


@pytest.mark.parametrize("form", ["parquet", "parquet-nested"])
class TestTheFile:
    def test_tells_of_the_run(self, parquet, form):
        schema = parquet.read_schema(io.BytesIO(file_of(form, layout_of("token"))))
        assert json.loads(schema.metadata[b"lrp"]) == {"model": "m.h5"}

    def test_has_row_groups_of_bounded_size(self, parquet, form, monkeypatch):
        monkeypatch.setattr("lstm_lrp_cli.outputs.parquet.GROUP_BYTES", 500)
        layout = layout_of("dimension", several=True)
        found = explanations_of(layout)
        data = file_of(form, layout, *([each] for each in found))
        file = parquet.ParquetFile(io.BytesIO(data))
        assert file.num_row_groups > 3
        assert file.read() == parquet.read_table(io.BytesIO(file_of(form, layout, found)))

    def test_is_the_same_of_parts_that_came_from_other_processes(self, form, monkeypatch):
        """Their sizes too, by which row groups are cut."""
        monkeypatch.setattr("lstm_lrp_cli.outputs.parquet.GROUP_BYTES", 700)
        layout = layout_of("token", several=True)
        found = explanations_of(layout)
        blocks = [found[k : k + 2] for k in range(0, len(found), 2)]
        here = file_of(form, layout, *blocks)

        class Pipe(list):
            def write(self, part):
                self.append(pickle.loads(pickle.dumps(part)))

        pipe = Pipe()
        for block in blocks:
            OUTPUTS[form].writer(pipe, layout).write(block)
        file = io.BytesIO()
        with OUTPUTS[form].sink(file, layout) as sink:
            sink.open()
            for part in pipe:
                sink.write(part)
            sink.close()
        assert file.getvalue() == here

    def test_that_is_given_up_does_not_look_whole(self, parquet, form, monkeypatch):
        monkeypatch.setattr("lstm_lrp_cli.outputs.parquet.GROUP_BYTES", 1)
        layout = layout_of("token")
        file = io.BytesIO()
        with OUTPUTS[form].sink(file, layout) as sink:
            writer = OUTPUTS[form].writer(sink, layout)
            writer.open()
            writer.write(explanations_of(layout))  # and no more comes
        del sink, writer
        data = file.getvalue()
        assert data.startswith(b"PAR1")
        assert not data.endswith(b"PAR1")


def test_classes_without_names_are_their_numbers_as_text(parquet):
    layout = layout_of("token")
    found = explanations_of(layout)
    force_setattr(layout.model, "labels", None)
    rows = parquet.read_table(io.BytesIO(file_of("parquet", layout, found)))
    assert set(rows["target"].to_pylist()) <= {str(k) for k in range(len(LABELS))}
