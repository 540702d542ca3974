"""Mappings and inputs made to do harm: each is one error, before time or memory is taken for it."""

import gzip
import os
import re
import threading

import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.tables import delimited, wide
from lstm_lrp_cli.inputs.tokens import patterns
from lstm_lrp_cli.inputs.tokens.patterns import Pattern, is_nested
from lstm_lrp_cli.loading.mapping import yaml

SENTENCE = "the film is not bad\n"


@pytest.fixture
def refused(run, small):
    """Explain with the small model as it stands, and return the one-line error."""

    def explain(input=None, *arguments):
        sentences = small.write("sentences.txt", SENTENCE) if input is None else input
        result = run("explain", small.save(), sentences, *arguments, "--format", "tsv")
        assert result.exit_code == 3, result.stderr
        error = result.stderr.strip()
        assert error.startswith("lrp: ")
        assert len(error.splitlines()) == 1
        assert "internal error" not in error
        assert "cannot be understood" not in error
        return error

    return explain


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "hint"),
        [
            ("a: !!bool x", "line 1: .*the tag `tag:yaml.org,2002:bool` is not allowed"),
            ("format: 1\nb: !!map [x]", "line 2: .*the tag `tag:yaml.org,2002:map`"),
            ("!!set {a}", "the tag"),
            ("a: !!timestamp 2001-01-01", "the tag"),
            ("a: " + "[" * 60, "more than 50 levels deep"),
            ("- " * 60 + "a", "more than 50 levels deep"),
            ("a: " + "9" * 500, "has 500 digits"),
            ('a: "\\ud800"', "half a character"),
            (
                "2305843009213693951: 1",
                "found the key `2305843009213693951` (int); expected a name",
            ),
            ("true: 1", "found the key `true` (bool)"),
            ("? [a]\n: 1", "found the key seq"),
            ("1: a\n+1: b", "line 2: .*key `+1` stands twice"),
            ("a: \0", "unacceptable character"),
        ],
    )
    def test_that_is_refused(self, text, hint):
        with pytest.raises(UnusableInput) as caught:
            yaml.parse_yaml(text, "m.yaml")
        assert re.search(re.escape(hint).replace(r"\.\*", ".*"), str(caught.value))
        assert "\n" not in str(caught.value)

    def test_of_more_values_than_a_mapping_has(self, monkeypatch):
        monkeypatch.setattr(yaml, "MOST_VALUES", 100)
        assert len(yaml.parse_yaml("- a\n" * 99, "m.yaml")) == 99
        with pytest.raises(UnusableInput, match=r"line 100: .*more than 100 values"):
            yaml.parse_yaml("- a\n" * 100, "m.yaml")

    def test_of_honest_tags_and_keys(self):
        text = "- !!str 12\n- !!int 7\n- {2019: !!seq [a], '2020': !!map {b: 1}}"
        assert yaml.parse_yaml(text, "m.yaml") == ["12", 7, {2019: ["a"], "2020": {"b": 1}}]


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "text"),
        [
            ("(a+)+$", "a" * 50 + "b"),
            ("(?:a?){40}b", "a" * 40),
            ("(a|a)" * 30 + "b", "a" * 40),
            (r"\s+$", " " * 400_000 + "x"),
        ],
    )
    def test_that_would_go_on_for_ever(self, monkeypatch, pattern, text):
        monkeypatch.setattr(patterns, "SECONDS", 0.05)
        with pytest.raises(UnusableInput, match=r"line 1: the mapping's tokens.remove.*too long"):
            Pattern("remove", pattern).without(text, "in.txt: line 1")

    def test_in_a_thread_where_no_timer_is_heard(self, monkeypatch):
        monkeypatch.setattr(patterns, "SECONDS", 0.05)
        errors, found = [], []

        def work():
            found.append(Pattern("separate", r"(?:\s+,)+").split("a , ,b", 9, "x"))
            try:
                Pattern("remove", "(a+)+$").without("a" * 50 + "b", "x")
            except UnusableInput as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found == [["a", "b"]]
        assert len(errors) == 1

    @pytest.mark.parametrize(
        "pattern",
        ["[^a-z0-9 ]", r"[^\w\s]+", "<[^>]+>", r"(?:\d+\.)+", r"\s+$", r"(b|c)\b", "[]x]"],
    )
    @pytest.mark.parametrize("times", [1, 20_000])
    def test_that_is_honest_is_as_before(self, pattern, times):
        text = "a <br> 1.2.3 b]x, \u00e9  " * times
        assert Pattern("remove", pattern).without(text, "x", " ") == re.sub(pattern, " ", text)

    def test_that_is_linear_needs_no_timer(self, monkeypatch):
        monkeypatch.setattr(patterns, "_limit", None)
        monkeypatch.setattr(patterns, "_in_process", None)
        for pattern in ("[^a-z0-9 ]", r"[^\w\s]+", r"\d", r"[]\]x]*"):
            assert Pattern("remove", pattern).without("a" * 100_000, "x").startswith("a")
        assert Pattern("remove", "<[^>]+>").without("a <br> b", "x") == "a  b"

    @pytest.mark.parametrize("pattern", [r"<br\s*/?>|[^a-z ]", r"\b(?:a|an|the)\b", r"\s+([?.!])"])
    def test_of_few_ways_needs_no_timer_for_a_review(self, monkeypatch, pattern):
        monkeypatch.setattr(patterns, "_limit", None)
        text = "the end <br /> of a film . " * 50
        assert Pattern("remove", pattern).without(text, "x") == re.sub(pattern, "", text)

    def test_a_list_of_thousands_of_words_is_one(self):
        words = "|".join(f"word{number}" for number in range(3000))
        assert Pattern("remove", rf"\b(?:{words})\b").without("a word7 b", "x") == "a  b"

    def test_that_repeats_what_varies_is_known(self):
        assert all(map(is_nested, ["(a+)+", "(a|b)*", "(?:a?){3}", "((a*))+", "(?:(?:a|b)c){2,}"]))
        harmless = ["(a)+", "[(+)]+", r"\(a+\)+", "(?:ab)*", "a+b+", "(a+)?"]
        assert not any(map(is_nested, harmless))

    def test_of_the_mapping_is_short(self, refused, small):
        small.mapping["tokens"] = {"remove": "a|" * 40_000}
        assert "tokens.remove: has 80,000 characters" in refused()

    def test_of_the_mapping_names_its_line(self, refused, small, monkeypatch):
        monkeypatch.setattr(patterns, "SECONDS", 0.05)
        small.mapping["tokens"] = {"remove": "(a+)+$"}
        text = small.write("in.txt", SENTENCE + "a" * 50 + "b\n")
        assert "in.txt: line 2: the mapping's tokens.remove" in refused(text)


class TestLines:
    def test_without_an_end(self, refused, small, monkeypatch):
        monkeypatch.setattr("lstm_lrp_cli.inputs.lines.LONGEST_LINE", 200_000)
        text = small.write("in.txt.gz", gzip.compress(SENTENCE.encode() + b"a" * 10_000_000))
        assert "in.txt.gz: line 2: is longer than" in refused(text)

    @pytest.mark.parametrize("split", ["whitespace", "characters"])
    def test_of_too_many_tokens(self, refused, small, monkeypatch, split):
        monkeypatch.setattr("lstm_lrp_cli.inputs.tokens.MOST_TOKENS", 10)
        small.mapping["tokens"] = {"split": split}
        assert "line 1: has more than" in refused(small.write("in.txt", "a " * 11))

    def test_of_too_many_ids(self, refused, small, monkeypatch):
        monkeypatch.setattr("lstm_lrp_cli.inputs.tokens.MOST_TOKENS", 10)
        assert "line 1: has more than" in refused(small.write("in.txt", "1 " * 11), "--ids")

    @pytest.mark.parametrize(
        ("line", "hint"),
        [
            ('{"tokens": ' + "[" * 100_000, "line 1: Expected"),
            ('{"x": ' + '{"x": ' * 100_000, "is not JSON"),
            ('{"tokens": [' + "9" * 1_000_000 + "]}", "out of range"),
            ('{"tokens": ["\\ud800"]}', "half a character"),
            ('{"text": "bad", "id": "\\udc80", "x": NaN}', "half a character"),
        ],
    )
    def test_of_json(self, refused, small, line, hint):
        assert hint in refused(small.write("in.jsonl", f"{line}\n"))

    def test_of_json_with_too_many_values(self, refused, small, monkeypatch):
        monkeypatch.setattr("lstm_lrp_cli.inputs.jsonl.MOST_TEXTS", 10)
        line = '{"tokens": [' + '"a",' * 10 + '"a"]}'
        assert "has more than" in refused(small.write("in.jsonl", line))

    def test_of_a_sentence_that_is_no_text(self, run, small):
        result = run("explain", small.save(), "--text", "the \udcff film")
        assert "--text: is not UTF-8" in result.stderr


class TestTables:
    @pytest.mark.parametrize(
        ("name", "text"),
        [("a.csv", "text\n" + "," * 20), ("a.tsv", "text\tb\n" + "\t" * 20), ("b.csv", "a," * 20)],
    )
    def test_of_too_many_fields(self, refused, small, monkeypatch, name, text):
        monkeypatch.setattr(delimited, "MOST_COLUMNS", 10)
        monkeypatch.setattr(delimited, "LONG_ROW", 5)
        assert "has more than 10 fields" in refused(small.write(name, text + "\nx\n"))

    def test_whose_row_has_no_end(self, refused, small, monkeypatch):
        monkeypatch.setattr(delimited, "MOST_LINES", 100)
        table = small.write("a.csv", 'text\n"' + "a\n" * 200)
        assert "line 2: is a row of more than 100 lines" in refused(table)

    @pytest.mark.parametrize("line", ['""', '"\t"'])
    def test_whose_quotes_are_looked_for_again_and_again(self, refused, small, monkeypatch, line):
        monkeypatch.setattr(delimited, "MOST_LOOKED_AT", 2**20)
        table = small.write("a.tsv", 'text\tb\n"\tx\ty\n' + f"{line}\n" * 20_000)
        assert "a.tsv: line 2" in refused(table)

    def test_of_a_series_that_is_called_none(self, run, small):
        small.take_numbers()
        rows = "sequence,step,a,b,c\nNULL1,0,1,1,1\nN\u00b2,0,1,1,1\n"
        result = run("predict", small.save(), small.write("a.csv", rows), "--format", "csv")
        assert result.exit_code == 0, result.stderr

    def test_of_many_series_holds_few_of_them(self, monkeypatch):
        ended = wide._Ended()
        for number in range(1000):
            ended.add(f"s{number}")
        assert all(f"s{number}" in ended for number in range(1000))
        assert not any(f"t{number}" in ended for number in range(1000))


class TestArrays:
    @pytest.mark.parametrize("shape", [(10**12, 0), (10**30, 2), (2**63, 1), (-1, 2), (2,) * 70])
    def test_that_claim_what_is_not_there(self, refused, small, shape):
        header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}}}".encode()
        header = header.ljust(-(-(len(header) + 11) // 64) * 64 - 11) + b"\n"
        data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        refused(small.write("a.npy", data))

    def test_that_unfold_without_end(self, refused, small, monkeypatch):
        monkeypatch.setattr("lstm_lrp_cli.inputs.stream.UNFOLDED", 2**20)
        data = b"\x93NUMPY\x01\x00" + b"\0" * 5_000_000
        assert "no honest file does" in refused(small.write("a.npy.gz", gzip.compress(data)))

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
    def test_of_a_pipe(self, refused, small):
        os.mkfifo(small.folder / "y.npy")
        problem = "y.npy: is a pipe or a device; expected a file on disk"
        assert problem in refused(None, "--label", small.folder / "y.npy")
        os.mkfifo(small.folder / "words.txt")
        small.mapping["vocabulary"] = "words.txt"
        assert "words.txt: is a pipe or a device" in refused()


class TestArrow:
    def write(self, arrow, small, name, column, **settings):
        path = small.folder / name
        table = arrow.table({"text": column})
        if name.endswith(".parquet"):
            arrow.parquet.write_table(table, path, compression="zstd", **settings)
        else:
            with (
                arrow.OSFile(str(path), "wb") as file,
                arrow.ipc.new_file(file, table.schema) as writer,
            ):
                writer.write_table(table)
        return path

    @pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
    def test_lists_of_nothing(self, refused, small, arrow, name):
        nothing = arrow.nulls(34_000_000, arrow.string() if name == "a.parquet" else arrow.null())
        lists = arrow.ListArray.from_arrays(arrow.array([0, len(nothing)], arrow.int32()), nothing)
        path = self.write(
            arrow, small, name, lists, **{"data_page_size": 2**30} if "q" in name else {}
        )
        assert re.search("claims to unfold|has 34,000,000 values", refused(path))

    @pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
    def test_one_long_word_in_many_rows(self, run, small, arrow, name):
        words = arrow.array(["bad " * 200])
        places = arrow.array(np.zeros(50, dtype=np.int32))
        column = arrow.DictionaryArray.from_arrays(places, words)
        path = self.write(arrow, small, name, column)
        result = run("predict", small.save(), path, "--format", "csv")
        assert result.exit_code == 0, result.stderr
        assert len(result.stdout.splitlines()) == 51

    def test_rows_of_nothing_without_end(self, refused, small, arrow):
        batch = arrow.record_batch([arrow.nulls(200_000)], names=["text"])
        path = small.folder / "a.arrow"
        with (
            arrow.OSFile(str(path), "wb") as file,
            arrow.ipc.new_stream(file, batch.schema) as writer,
        ):
            writer.write_batch(batch)
        assert "row 1, column text: is missing" in refused(path)

    def test_structs_are_no_text(self, refused, small, arrow):
        path = self.write(arrow, small, "a.parquet", arrow.array([{"a": 1}]))
        assert "(dict); expected a text" in refused(path)

    def test_lists_of_words_are_read_as_they_stand(self, run, small, arrow):
        words = [["the", "bad"], [], ["film", "the", "the"]]
        path = self.write(arrow, small, "a.parquet", arrow.array(words))
        result = run("explain", small.save(), path, "--format", "csv")
        found = re.findall(r"^\d+,\d+,(\w+)", result.stdout, re.M)
        assert found == [*words[0], *words[2]]
