"""Tables: the columns that are asked for, row by row, of every form, or one error that names it."""

import csv
import gzip
import io
import json
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_models import make_model
from models import TESTS
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.memory import sequences
from lstm_lrp_cli.inputs.read import Source, read_blocks, sequences_of
from lstm_lrp_cli.inputs.stream import open_input
from lstm_lrp_cli.inputs.tables.columns import Columns
from lstm_lrp_cli.inputs.tables.delimited import DelimitedTable
from lstm_lrp_cli.inputs.tables.opening import open_table
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.text import Tokenization, Vocabulary

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

WORDS = ["<unk>", "the", "film", "not", "naïve"]
SETS = sorted(path for path in (TESTS / "golden" / "datasets").iterdir() if path.is_dir())


def words(**tokenization):
    return make_model(
        Embedding(np.ones((5, 2))),
        Dense(np.ones((2, 2)), None),
        classes=2,
        labels=("negative", "positive"),
        vocabulary=Vocabulary({word: number for number, word in enumerate(WORDS)}, 5, 0),
        tokenization=Tokenization(**tokenization),
    )


def table_of(data, delimiter=None):
    return DelimitedTable(io.BufferedReader(io.BytesIO(data)), "in.csv", delimiter)


def rows_of(data, delimiter=None):
    table = table_of(data, delimiter)
    return [list(values) for values, _ in table.rows(table.columns)]


def read(path, model=None, size=5, **named):
    """Sequences as worker processes read them, of small blocks."""
    model = model or words()
    labelled = named.pop("labelled", "label" in named)
    source = Source(str(path), labelled=labelled, columns=Columns(**named))
    for block in read_blocks(source, model, size):
        yield from sequences_of(pickle.loads(pickle.dumps(block)), model)


def told(sequences):
    return [(each.number, each.tokens, each.id, each.gold) for each in sequences]


CELLS = st.text(st.sampled_from('a,;"\n\té |'), max_size=6)


class TestDelimited:
    @pytest.mark.parametrize("delimiter", [",", ";", "|"])
    @given(data=st.data())
    def test_what_a_writer_of_csv_writes_is_read(self, delimiter, data):
        width = data.draw(st.integers(2, 4))
        rows = data.draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=5))
        end = data.draw(st.sampled_from(["\n", "\r\n"]))
        text = io.StringIO()
        header = [f"c{k}" for k in range(width)]
        csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([header, *rows])
        assert rows_of(text.getvalue().encode()) == rows

    @given(st.lists(st.lists(st.text("a\"' é,", max_size=4), min_size=2, max_size=2), max_size=5))
    def test_tsv_without_quotes_is_read_as_it_stands(self, rows):
        """Its texts may begin with a quote, or end with one, but for those that look quoted."""
        text = "".join("\t".join(row) + "\n" for row in [["a", "b"], *rows])
        wanted = [
            [
                cell[1:-1].replace('""', '"') if re.fullmatch('"([^"]|"")*"', cell) else cell
                for cell in row
            ]
            for row in rows
        ]
        assert rows_of(text.encode(), "\t") == wanted

    def test_tsv_with_quotes_is_read_without_them(self):
        rows = [["1", "a\n\nb"], ["a\tb", 'he said "no"'], ["x\ny\tz", "2"], ["3", '"']]
        text = io.StringIO()
        csv.writer(text, delimiter="\t").writerows([["n", "text"], *rows])
        assert rows_of(text.getvalue().encode(), "\t") == rows

    def test_places_are_lines_at_which_rows_begin(self):
        table = table_of(b'\xef\xbb\xbftext,n\r\n"a\r\nb",1\r\n\r\nc,2\r\n')
        assert table.columns == ("text", "n")
        assert list(table.rows(["n", "text"])) == [
            (("1", "a\r\nb"), "in.csv: line 2"),
            (("2", "c"), "in.csv: line 5"),
        ]

    @pytest.mark.parametrize(
        ("data", "rows"),
        [
            ("a;b\n1,5;2\n", [["1,5", "2"]]),
            ("a\tb,c\td\n1\t2\t3\n", [["1", "2", "3"]]),
            ('"x;y;z",b\n1,2\n', [["1", "2"]]),
            ("sep=;\r\na;b\r\n1;2\r\n", [["1", "2"]]),
            ("a,b;c\n1;5,2\n1,2\n", None),
            ("a,b;c\n1,2\n3,4;\n5,6\n", [["1", "2"], ["3", "4;"], ["5", "6"]]),
            ("text\nthe film; not\n", [["the film; not"]]),
        ],
    )
    def test_the_delimiter_is_found_or_asked_for(self, data, rows):
        if rows is None:
            with pytest.raises(UnusableInput, match=r"by a comma or a semicolon.*--delimiter"):
                table_of(data.encode())
        else:
            assert rows_of(data.encode()) == rows

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ('a,b\n1,"x\n2,y\n', "line 2: opens a quote that no later line closes"),
            ('a,b\n1,"x"y\n', "line 2: has a quote within a quoted field"),
            ("a,b\n1,2\n1,2,3\n", "line 3: has 3 fields, parted by a comma; expected 2 (a, b)"),
            ("a,b\n1\n", "expected 2 (a, b): quote fields that have line ends in them, and fill"),
            ("a\tb\n1\t2\t3\n", "line 2: has 3 fields, parted by a tab; expected 2"),
            ('a\tb\n"x\n', "line 2: opens a quote that no later line closes"),
            ("a,b\n1,x\ry\n", "line 2: has a carriage return within a field"),
            (b"a,b\n1,\xe9\n", "line 2: byte 3 (0xe9) is not UTF-8; convert the file"),
            ("a,b\n1,x\n".encode("utf-16"), "iconv -f utf-16 -t utf-8"),
        ],
    )
    def test_a_row_that_cannot_be_read_is_named(self, data, message):
        with pytest.raises(UnusableInput, match=re.escape(message)):
            rows_of(data.encode() if isinstance(data, str) else data)

    def test_a_field_that_goes_on_for_ever_is_refused(self, monkeypatch):
        monkeypatch.setattr("lstm_lrp_cli.inputs.tables.delimited.LONGEST_LINE", 2**10)
        fields = 'a,b\n"x\n' + '","x\n' * 2**9  # each line ends within another field
        for data in ('a,b\n1,"' + "x\n" * 2**10, 'a\tb\n"' + "x\n" * 2**10, fields):
            with pytest.raises(UnusableInput, match=r"line 2: .*quote"):
                rows_of(data.encode())

    @pytest.mark.parametrize(
        ("header", "name", "message"),
        [
            ("a,b", "c", "has no column `c`; expected one of a, b"),
            ("Review,b", "review", "has no column `review`; is `Review` meant?"),
            ("a,b,a", "a", "has 2 columns `a`; rename all of them but one"),
            (",".join(f"c{k}" for k in range(20)), "x", "c11 and 8 more"),
            (",text", "x", "expected one of (without a name), text"),
        ],
    )
    def test_a_column_that_is_not_there_is_named(self, header, name, message):
        with pytest.raises(UnusableInput, match=re.escape(message)):
            table_of(header.encode()).rows([name])


TABLE = {
    "review": ["the film", "not\nnaïve", "the"],
    "stars": [0, 1, 1],
    "doc": ["a", "b", "7"],
    "tokens": [["the", "film"], [], ["not"]],
    "ids": [[1, 2], [3], []],
}


def save_stream(table, path):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def save_file(table, path):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


SAVED = {
    "t.parquet": parquet.write_table,
    "t.feather": feather.write_feather,
    "lz4.feather": lambda table, path: feather.write_feather(table, path, compression="lz4"),
    "stream.arrow": save_stream,
    "file.arrow": save_file,
}
EXPECTED = [(0, ("the", "film"), "a", 0), (1, ("not", "naïve"), "b", 1), (2, ("the",), 7, 1)]


@pytest.fixture(params=SAVED)
def saved(request, tmp_path):
    def save(table):
        path = tmp_path / request.param
        SAVED[request.param](table, path)
        return path

    return save


class TestArrow:
    KINDS = (
        *(pa.string(), pa.large_string(), pa.string_view()),
        pa.dictionary(pa.int32(), pa.string()),
    )

    @pytest.mark.parametrize("kind", KINDS, ids=str)
    def test_text_of_every_type_in_every_form(self, saved, kind):
        table = pa.table(TABLE)
        texts = table["review"].cast(kind)
        path = saved(table.set_column(0, "review", texts))
        assert told(read(path, text=("review",), label="stars", id="doc")) == EXPECTED

    def test_tokens_and_ids_are_lists(self, saved):
        path = saved(pa.table(TABLE))
        assert [each.tokens for each in read(path, text=("tokens",))] == [
            ("the", "film"),
            (),
            ("not",),
        ]
        assert [each.inputs.tolist() for each in read(path, text=("ids",))] == [[1, 2], [3], []]

    @pytest.mark.parametrize(
        ("column", "values", "message"),
        [
            ("review", ["the", None], "row 2, column review: is missing (None)"),
            ("review", [1, 2], "row 1, column review: holds 1 (int); expected a text"),
            ("review", [[1], [5]], "row 2, column review: token id 5 is out of range"),
            ("stars", [1, None], "row 2, column stars: is missing"),
            ("stars", [0.5, 1.0], "row 1, column stars: label `0.5`; expected one of"),
            ("stars", [1, 2], "row 2, column stars: label `2`; expected one of negative, positive"),
            ("doc", ["a", None], "row 2, column doc: is missing; expected an id"),
        ],
    )
    def test_a_value_that_cannot_be_used_is_named(self, saved, column, values, message):
        columns = {"review": ["the", "the"], "stars": [1, 1], "doc": ["a", "b"]} | {column: values}
        found = []
        with pytest.raises(UnusableInput, match=re.escape(message)):
            found.extend(
                read(saved(pa.table(columns)), size=1, text=("review",), label="stars", id="doc")
            )
        assert len(found) == int(re.search(r"row (\d)", message)[1]) - 1

    @pytest.mark.parametrize(
        ("values", "golds"),
        [
            ([True, False], [1, 0]),
            ([1.0, 0.0], [1, 0]),
            (["positive", "0"], [1, 0]),
            (["1.0", "0."], [1, 0]),
            (["True", "false"], [1, 0]),
        ],
    )
    def test_classes_as_tables_write_them(self, tmp_path, values, golds):
        """And as JSON lines and CSV write the same."""
        pairs = list(zip(["the", "film"], values, strict=True))
        parquet.write_table(pa.table({"text": ["the"] * 2, "y": values}), tmp_path / "t.parquet")
        lines = [json.dumps({"text": text, "y": value}) + "\n" for text, value in pairs]
        (tmp_path / "t.jsonl").write_text("".join(lines))
        rows = [f"{text},{value}\n" for text, value in [("text", "y"), *pairs]]
        (tmp_path / "t.csv").write_text("".join(rows))
        for form in ("parquet", "jsonl", "csv"):
            assert [each.gold for each in read(tmp_path / f"t.{form}", label="y")] == golds

    @pytest.mark.parametrize(
        ("labels", "label", "gold"),
        [(("false", "true"), True, 1), (("1", "2"), 1.0, 0), (("True", "False"), "true", 0)],
    )
    def test_a_label_wins_however_a_number_is_spelled(self, tmp_path, labels, label, gold):
        (tmp_path / "t.jsonl").write_text(json.dumps({"text": "the", "y": label}))
        found = read(tmp_path / "t.jsonl", replace(words(), labels=labels), label="y")
        assert [each.gold for each in found] == [gold]

    def test_a_name_without_the_models_labels_is_told_how_to_say_them(self, tmp_path):
        (tmp_path / "t.csv").write_text("text,y\nthe,positive\n")
        with pytest.raises(UnusableInput, match=r'say those of all, .*: --set "labels=\[..\]"'):
            list(read(tmp_path / "t.csv", replace(words(), labels=None), label="y"))

    def test_an_id_that_csv_leaves_out_is_missing(self, tmp_path):
        (tmp_path / "t.csv").write_text("text,id\nthe,a\nfilm,\n")
        with pytest.raises(UnusableInput, match="line 3, column id: is missing"):
            list(read(tmp_path / "t.csv"))

    def test_damaged_files_are_refused_and_nothing_else(self, saved):
        path = saved(pa.table(TABLE))
        whole = path.read_bytes()
        rng = np.random.default_rng(1)
        messages = []
        for place in rng.integers(0, len(whole), 60).tolist():
            damaged = bytearray(whole)
            damaged[place] ^= int(rng.integers(1, 256))
            path.write_bytes(bytes(damaged[: None if place % 3 else place]))
            try:
                list(read(path, text=("review",), label="stars"))
            except UnusableInput as error:
                messages.append(str(error))
        assert len(messages) > 20
        for message in messages:
            assert message.startswith(str(path))
            assert "\n" not in message

    def test_dates_are_dates_and_finer_ones_are_text(self, tmp_path):
        times = pa.array([1_700_000_000_000_000_000, 1], pa.timestamp("ns"))
        whole = pa.array([1_700_000_000_000_000_000], pa.timestamp("ns", "UTC"))
        for column, wanted in ((times, "1970-01-01 00:00:00.000000001"), (whole, None)):
            parquet.write_table(pa.table({"a.b": column, "a": column}), tmp_path / "t.parquet")
            with (
                open_input(str(tmp_path / "t.parquet")) as opened,
                open_table(opened, "parquet", "t") as table,
            ):
                *_, (last,) = [values for values, _ in table.rows(["a.b"])]
            if wanted is None:
                assert last.isoformat() == "2023-11-14T22:13:20+00:00"
            else:
                assert last == wanted

    def test_feather_of_the_first_version_is_refused(self, tmp_path):
        (tmp_path / "t.feather").write_bytes(b"FEA1" + bytes(20))
        with pytest.raises(UnusableInput, match="Feather's first version; write it again"):
            list(read(tmp_path / "t.feather", text=("a",)))


class TestDatasets:
    """Folders as Hugging Face's datasets wrote them, in two versions."""

    @pytest.mark.parametrize("name", ["shards", "picked", "splits/train", "splits/test"])
    @pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
    def test_are_read_as_the_library_reads_them(self, folder, name):
        rows = json.loads((folder / "expected.json").read_text("utf-8"))[name]
        found = list(read(folder / name, text=("review",), label="label", id="doc"))
        assert [each.gold for each in found] == rows["label"]
        assert [each.id for each in found] == rows["doc"]
        assert [each.tokens for each in found] == [tuple(text.split()) for text in rows["review"]]
        found = list(read(folder / name, text=("tokens",)))
        assert [each.tokens for each in found] == list(map(tuple, rows["tokens"]))
        found = list(read(folder / name, text=("ids",)))
        assert [each.inputs.tolist() for each in found] == rows["ids"]

    def test_classes_go_by_their_names(self, tmp_path):
        """Number 1 is `positive`, wherever the model has it."""
        model = make_model(
            Embedding(np.ones((5, 2))),
            Dense(np.ones((2, 2)), None),
            classes=2,
            labels=("positive", "negative"),
            vocabulary=Vocabulary({word: number for number, word in enumerate(WORDS)}, 5, 0),
        )
        for path in (SETS[0] / "shards", SETS[0] / "rows.parquet"):
            found = list(read(path, model, text=("review",), label="label"))
            assert [each.gold for each in found] == [0, 0, 1, 1, 0]
        info = SETS[0] / "shards"
        (tmp_path / "set").mkdir()
        for file in info.iterdir():
            content = file.read_bytes()
            if file.suffix == ".json":
                content = content.replace(b'"positive"', b'"good"')
            (tmp_path / "set" / file.name).write_bytes(content)
        message = r"row 1, column label: class 1 is `good` by the table, and the model's labels are"
        with pytest.raises(UnusableInput, match=message):
            list(read(tmp_path / "set", model, text=("review",), label="label"))

    def test_one_of_several_splits_is_asked_for(self):
        folder = SETS[0] / "splits"
        message = f"splits train, test; expected one of them: {re.escape(str(folder / 'test'))}"
        with pytest.raises(UnusableInput, match=message):
            list(read(folder))

    @pytest.mark.parametrize(
        ("state", "message"),
        [
            ('{"_data_files": [{"filename": "../secret.arrow"}]}', "names the file `../secret"),
            ('{"_data_files": [{"filename": "none.arrow"}]}', "names the file `none.arrow`, and"),
            ('{"_data_files": []}', "names no files"),
            ('{"_data_files": [{"filename": "d.arrow", "skip": 2}]}', "unknown field `skip`"),
            ('{"_data_files": [], "_indices_data_files": [{}]}', "flatten_indices()"),
            ("[" * 5000, "state.json cannot be used"),
        ],
    )
    def test_what_names_other_files_is_refused(self, tmp_path, state, message):
        (tmp_path / "set").mkdir()
        save_stream(pa.table(TABLE), tmp_path / "secret.arrow")
        (tmp_path / "set" / "state.json").write_text(state)
        (tmp_path / "set" / "dataset_info.json").write_text('{"features": {}}')
        with pytest.raises(UnusableInput, match=re.escape(message)):
            list(read(tmp_path / "set", text=("review",)))

    @pytest.mark.parametrize("kind", ["new_file", "new_stream"])
    @pytest.mark.parametrize("codec", ["zstd", "lz4"])
    def test_what_unfolds_to_far_more_than_the_file_is_not_unfolded(self, tmp_path, kind, codec):
        words = pa.array([" " * 150_000_000])
        words = pa.DictionaryArray.from_arrays(pa.array([0]), words) if codec == "lz4" else words
        table = pa.table({"review": words})
        with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file:
            options = pa.ipc.IpcWriteOptions(compression=codec)
            with getattr(pa.ipc, kind)(file, table.schema, options=options) as writer:
                writer.write_table(table)
        with pytest.raises(UnusableInput, match="claims to unfold to 150,"):
            list(read(tmp_path / "t.arrow", text=("review",)))

    def test_another_folder_is_told_what_is_expected(self, tmp_path):
        with pytest.raises(UnusableInput, match=r"is a directory; .* Dataset\.save_to_disk wrote"):
            list(read(tmp_path))
        (tmp_path / "data").mkdir()
        parquet.write_table(pa.table(TABLE), tmp_path / "data" / "test-0.parquet")
        with pytest.raises(UnusableInput, match=r"name one of its tables: .*data/test-0\.parquet"):
            list(read(tmp_path))


LINES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["the ", "film ", "x", '"', ",", "\n"])).map("".join),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(LINES, st.integers(1, 40))
def test_a_table_gives_what_json_lines_give(tmp_path_factory, rows, size):
    folder = tmp_path_factory.mktemp("in")
    labels = ["positive" if good else "negative" for _, good in rows]
    objects = [
        {"review": text, "sentiment": label, "doc": f"d{number}"}
        for number, ((text, _), label) in enumerate(zip(rows, labels, strict=True))
    ]
    (folder / "t.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in objects), "utf-8")
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["review", "sentiment", "doc"])
        writer.writeheader()
        writer.writerows(objects)
    (folder / "t.csv.gz").write_bytes(gzip.compress((folder / "t.csv").read_bytes()))
    parquet.write_table(pa.Table.from_pylist(objects), folder / "t.parquet")
    named = {"text": ("review",), "label": "sentiment", "id": "doc"}
    wanted = told(read(folder / "t.jsonl", size=size, **named))
    assert [tokens for _, tokens, *_ in wanted] == [tuple(text.split()) for text, _ in rows]
    assert [gold for *_, gold in wanted] == [int(good) for _, good in rows]
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        assert told(read(folder / name, size=size, **named)) == wanted


class TestWhatIsAskedFor:
    @pytest.mark.parametrize(
        ("content", "named", "message"),
        [
            ("review,sentiment\nthe film,positive\n", {}, "--text review --label sentiment"),
            ("a,b c\nthe,the film is long\n", {}, "for instance --text 'b c'"),
            ("a,grade\nthe film,negative\n", {"label": "grade"}, "for instance --text a"),
            ("text,grade\nthe,negative\n", {"labelled": True}, "for instance --label grade"),
            ("text,grade\nthe,good\n", {"label": "grade"}, "line 2, column grade: label `good`"),
            ("text,y\nthe,\n", {"label": "y"}, "line 2, column y: is missing"),
            ("review,y\nthe,1\n", {"text": ("rewiev",)}, "no column `rewiev`; expected one of"),
            ("sequence,step,wind\n1,1,2\n", {}, "a numeric series, and the model takes tokens"),
            ("", {"text": ("a",)}, "is empty; expected at least one sequence"),
            ("text\n", {}, "is empty; expected at least one sequence"),
        ],
    )
    def test_of_a_table(self, tmp_path, content, named, message):
        (tmp_path / "in.csv").write_text(content, "utf-8")
        with pytest.raises(UnusableInput, match=re.escape(message)):
            list(read(tmp_path / "in.csv", **named))

    def test_the_usual_columns_need_not_be_named(self, tmp_path):
        (tmp_path / "in.tsv").write_text("id\tlabel\ttext\n5\tpositive\tthe film\n", "utf-8")
        assert told(read(tmp_path / "in.tsv", labelled=True)) == [(0, ("the", "film"), 5, 1)]
        assert told(read(tmp_path / "in.tsv")) == [(0, ("the", "film"), 5, None)]

    @pytest.mark.parametrize(
        ("content", "named", "message"),
        [
            ('{"review": "the", "n": 1}\n{"n": 2}\n', {"text": ("review",)}, "line 2: has no `rev"),
            (
                '{"review": 3}\n',
                {"text": ("review",)},
                "line 1: Expected `array`, got `int` - at `$.r",
            ),
            ('{"text": "the"}\n', {"label": "y"}, "line 1: has no `y`; expected the sequence's"),
            ('{"text": "the", "y": []}\n', {"label": "y"}, "at `$.y`"),
            ('{"body": "the"}\n', {}, "name its text's key: --text KEY"),
        ],
    )
    def test_of_json_lines(self, tmp_path, content, named, message):
        (tmp_path / "in.jsonl").write_text(content, "utf-8")
        with pytest.raises(UnusableInput, match=re.escape(message)):
            list(read(tmp_path / "in.jsonl", **named))

    def test_keys_of_json_lines_by_name(self, tmp_path):
        lines = [
            '{"r": "the film", "y": 1, "n": 4}',
            "",
            '{"r": ["not"], "y": "negative", "n": "b"}',
        ]
        (tmp_path / "in.jsonl").write_text("\n".join(lines), "utf-8")
        assert told(read(tmp_path / "in.jsonl", text=("r",), label="y", id="n")) == [
            (0, ("the", "film"), 4, 1),
            (1, (), None, None),
            (2, ("not",), "b", 0),
        ]

    def test_json_without_a_usual_key_is_no_text(self, tmp_path):
        (tmp_path / "in.json").write_text('{"review": "the film"}\n')
        with pytest.raises(UnusableInput, match=r"text's key: --text KEY; .* --input-format txt"):
            list(read(tmp_path / "in.json"))
        (tmp_path / "in.json").write_text("{the film} not\n")
        assert len(list(read(tmp_path / "in.json"))) == 1

    def test_columns_are_not_for_text_or_numbers(self, tmp_path):
        (tmp_path / "in.txt").write_text("the film\n")
        with pytest.raises(UnusableInput, match=r"is \.txt, and has no column for --label"):
            list(read(tmp_path / "in.txt", label="y"))
        (tmp_path / "in.csv").write_text("sequence,step,x\n1,1,2\n")
        numbers = make_model(Dense(np.ones((3, 1)), None), classes=3)
        with pytest.raises(UnusableInput, match=r"the model takes numbers: --text is"):
            list(read(tmp_path / "in.csv", numbers, text=("x",)))

    def test_a_table_under_another_name_is_told_by_its_content(self, tmp_path):
        parquet.write_table(pa.table(TABLE), tmp_path / "in")
        assert len(list(read(tmp_path / "in", text=("review",)))) == 3
        parquet.write_table(pa.table(TABLE), tmp_path / "in.txt")
        with pytest.raises(UnusableInput, match=r"is a \.parquet file .* --input-format parquet"):
            list(read(tmp_path / "in.txt"))


class TestInMemory:
    def test_a_column_of_pyarrow_is_texts(self):
        found = sequences(pa.chunked_array([["the film"], ["not"]]), words())
        assert [each.tokens for each in found] == [("the", "film"), ("not",)]

    def test_a_lazy_table_is_to_be_collected(self):
        polars = pytest.importorskip("polars")
        with pytest.raises(UnusableInput, match=r"yet to be made; expected its .collect\(\)"):
            sequences(polars.LazyFrame({"text": ["the"]}), words())

    def test_a_model_in_the_place_of_inputs(self):
        with pytest.raises(ValueError, match="`model`: is of type list; expected what `load` "):
            sequences(words(), ["the film"])

    def test_a_column_that_is_called_by_a_number(self):
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame([["the film", 1], ["not", 0]])
        found = sequences(table, words(), text=0, label=1)
        assert [(each.tokens, each.gold) for each in found] == [(("the", "film"), 1), (("not",), 0)]
        with pytest.raises(ValueError, match="`text`: is of type list; expected the name of a"):
            sequences(table, words(), text=["0"])

    def test_a_long_label_is_shortened(self):
        with pytest.raises(
            UnusableInput, match=r"label `film film film film film film film fi\.\.\.`"
        ):
            list(sequences(["the"], words(), ["film " * 50]))
