"""Results made on purpose to take memory or time are refused before they do, or take little."""

import gzip
import json
import random
import tracemalloc
import warnings
from contextlib import suppress

import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.parquet import claims_of_pages
from lstm_lrp_cli.results import Result
from lstm_lrp_cli.results.read import MOST_VALUES, read_results
from lstm_lrp_cli.summarize import summarizer
from lstm_lrp_cli.summarize.table import SHOWN_TARGETS

LINE = {"sequence": 0, "tokens": ["not", "bad"], "target": "good", "relevance": [0.5, 1.0]}


@pytest.fixture
def write(arrow, tmp_path):
    """Write columns as a Parquet file; give its path."""

    def written(columns, **settings):
        path = tmp_path / "results.parquet"
        table = arrow.table({"sequence": [0], "target": ["good"], **columns})
        arrow.parquet.write_table(table, path, store_schema=False, **settings)
        return path

    return written


def read(path):
    return [result for block in read_results(str(path)) for result in block]


def refused(path):
    """What is said of a file that is refused, before 30 MB are taken in Python's memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UnusableInput) as raised:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def lists(arrow, values):
    """One row, of all values."""
    return arrow.ListArray.from_arrays([0, len(values)], values)


class TestParquet:
    @pytest.mark.parametrize("version", ["1.0", "2.0"])
    def test_values_that_repeat_without_end(self, arrow, write, version):
        amounts = arrow.array(np.zeros(2_500_000))
        path = write(
            {"tokens": [["a"]], "relevance": lists(arrow, amounts)}, data_page_version=version
        )
        assert path.stat().st_size < 5000
        assert "claims to unfold to" in refused(path)

    def test_a_page_that_unfolds_without_end(self, write):
        columns = {"tokens": [["x" * 17_500_000]], "relevance": [[0.5]]}
        path = write(columns, compression="zstd", use_dictionary=False)
        assert path.stat().st_size < 10_000
        assert "claims to unfold to" in refused(path)

    def test_a_long_text_that_repeats_is_one_text(self, arrow, write):
        """Else it would take 10 GB."""
        words = arrow.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["x" * 100_000])
        amounts = arrow.array(np.arange(100_000.0))
        columns = {"tokens": lists(arrow, words), "relevance": lists(arrow, amounts)}
        (nested,) = read(write(columns))
        assert len(nested.tokens) == 100_000
        assert nested.tokens[0] is nested.tokens[-1]
        assert nested.text == "x" * 200
        rows = {"position": np.arange(100_000), "token": words, "relevance": amounts}
        rows |= {"sequence": np.zeros(100_000, int), "target": ["good"] * 100_000}
        (flat,) = read(write(rows))
        assert len(set(map(id, flat.tokens))) < 10  # one of each batch
        assert flat.tokens[0] == nested.tokens[0]
        assert flat.relevance.tolist() == nested.relevance.tolist()

    def test_texts_that_repeat_a_part_of_the_one_before(self, write):
        columns = {"tokens": [["a", "ab"]], "relevance": [[0.5, 1.0]]}
        encoding = {"tokens.list.element": "DELTA_BYTE_ARRAY"}
        path = write(columns, use_dictionary=False, column_encoding=encoding)
        assert "of the encoding DELTA_BYTE_ARRAY" in refused(path)

    def test_texts_behind_their_lengths(self, write):
        columns = {"tokens": [["a", "ab"]], "relevance": [[0.5, 1.0]]}
        encoding = {"tokens.list.element": "DELTA_LENGTH_BYTE_ARRAY"}
        (result,) = read(write(columns, use_dictionary=False, column_encoding=encoding))
        assert result.tokens == ["a", "ab"]

    def test_words_of_which_some_are_in_no_list(self, write):
        """Where the list of a group is full, others stand beside it."""
        rows = [[f"word {k} {j}" for j in range(20)] for k in range(40)]
        columns = {"sequence": range(40), "target": ["good"] * 40, "tokens": rows}
        columns["relevance"] = [[0.5] * 20] * 40
        path = write(columns, dictionary_pagesize_limit=100, data_page_size=200, row_group_size=15)
        assert [result.tokens for result in read(path)] == rows

    def test_what_is_claimed_is_what_is_there(self, arrow, write):
        """Each value counts, and each byte that a page unfolds to."""
        path = write({"tokens": [["a"] * 1000], "relevance": lists(arrow, np.zeros(1000))})
        found = claims_of_pages(path, "results")
        assert 16_000 < sum(found.of_groups) < 20_000
        assert found.texts == ["target", "tokens.list.element"]

    def test_damage_anywhere(self, arrow, write):
        """It is read, or refused in one line."""
        columns = {"tokens": [["not", "bad"]], "relevance": [[0.5, 1.0]]}
        path = write(columns, compression="none")
        data, choose = path.read_bytes(), random.Random(7)
        for _ in range(150):
            damaged = bytearray(data)
            for _ in range(choose.randint(1, 3)):
                damaged[choose.randrange(4, len(data))] = choose.randrange(256)
            path.write_bytes(damaged)
            with suppress(UnusableInput):
                read(path)


class TestJsonLines:
    def test_values_without_end(self, tmp_path):
        path = tmp_path / "results.jsonl"
        line = json.dumps(LINE | {"relevance": []})
        path.write_text(line.replace("[]", f"[{'0,' * MOST_VALUES}0]"))
        with pytest.raises(UnusableInput, match="has more than 16,777,216 values"):
            read(path)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("[0.5, 1.0]", "[" * 100_000 + "]" * 100_000),
            ('"sequence": 0', f'"sequence": {"9" * 100_000}'),
            ("[0.5, 1.0]", f"[{'9' * 100_000}, 1]"),
            ('"not"', '"\\ud800"'),
            ('"not"', '"\0"'),
            ("{", '{"x": ' + "[" * 100_000 + "]" * 100_000 + ", "),
            ("[0.5, 1.0]", "[1e999, 1]"),
            ("[0.5, 1.0]", '{"a": [0.5], "b": [1.0]}'),
        ],
        ids=["depth", "digits", "amount", "half", "null", "other", "infinity", "inputs"],
    )
    def test_what_is_no_result(self, tmp_path, old, new):
        path = tmp_path / "results.jsonl"
        path.write_text(json.dumps(LINE).replace(old, new, 1))
        assert ": line 1: " in refused(path)

    def test_blank_lines_without_end(self, tmp_path):
        path = tmp_path / "results.jsonl.gz"
        path.write_bytes(gzip.compress(json.dumps(LINE).encode() + b"\n" * 20_000_000))
        assert len(read(path)) == 1

    def test_the_beginning_of_long_tokens(self):
        tokens = ["a", "b" * 300, *["c" * 1_000_000] * 1_000_000]
        result = Result(0, "good", np.zeros(len(tokens)), tokens=tokens)
        assert result.text == f"a {'b' * 198}"
        for tokens in ([], ["a"], ["ab"] * 66, ["ab"] * 67, ["ab"] * 68, ["", "", "x"]):
            result = Result(0, "good", np.zeros(len(tokens)), tokens=tokens)
            assert result.text == " ".join(tokens)[:200]


class TestSummaries:
    def results(self, path, **many):
        """Results of so many targets, or methods; the first ones have one more each."""
        [(key, count)] = many.items()
        lines = [LINE | {key: f"{key} {k}"} for k in [*range(count), *range(3)]]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def test_targets_beyond_some_have_no_section(self, run, tmp_path):
        path = self.results(tmp_path / "results.jsonl", target=SHOWN_TARGETS + 7)
        for form in ("table", "html"):
            shown = run("summarize", path, "--format", form).stdout
            assert "and 7 targets of fewer explanations; --target CLASS shows one" in shown
            assert "target 99" not in shown
            assert "target 2" in shown
        document = json.loads(run("summarize", path, "--format", "json").stdout)
        assert len(document["methods"][0]["targets"]) == SHOWN_TARGETS + 7
        one = run("summarize", path, "--target", "target 99")
        assert "target 99" in one.stdout

    def test_targets_and_methods_without_end(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr(summarizer, "MOST_TARGETS", 20)
        monkeypatch.setattr(summarizer, "MOST_METHODS", 20)
        for key in ("target", "method"):
            path = self.results(tmp_path / f"{key}.jsonl", **{key: 21})
            done = run("summarize", path)
            assert done.exit_code == 3
            assert f"tells of more than 20 {key}s" in done.stderr
            assert run("summarize", self.results(path, **{key: 20})).exit_code == 0

    def test_numbers_that_overflow_are_told_without_a_word(self, run, tmp_path):
        path = tmp_path / "results.jsonl"
        path.write_text((json.dumps(LINE | {"relevance": [1e308, 1e308]}) + "\n") * 2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            done = run("summarize", path, "--format", "json")
        assert done.exit_code == 0
        assert done.stderr == ""
