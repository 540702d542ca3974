"""No byte of a file reaches a terminal as an order, whatever is shown there."""

import io
import json
import os
import re
import sys

import msgspec
import numpy as np
import pytest
from models import KERAS
from torch_files import save, weights

from lstm_lrp_cli.cli import main
from lstm_lrp_cli.loading.mapping.yaml import comment, parse_yaml, yaml_text
from lstm_lrp_cli.terminal.text import ORDERS, json_document, json_text

# What rich writes of its own: colours and weights, and hiding the cursor beside a bar.
OWN = re.compile(r"\x1b\[[\d;]*m|\x1b\[\?25[lh]|\x1b\[\d*[AK]|\r")
# Each of them begins an order, turns text round, or ends a line for some.
HOSTILE = {
    "clear": "\x1b[2J",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "C1": "\x9b2Jb\x85\x9d0;x\x9c",
    "bidi": "\u202eabc\u2066d\u200f",
    "lines": "a\u2028b\u2029c\x0bd\x0ce\rf",
    "markup": "[link=http://evil.example]x[/link][blink]",
    "delete": "\x7f\x08\x00",
}


EVERYTHING = "".join(HOSTILE.values())


class Terminal(io.TextIOWrapper):
    """What is written to a terminal."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")

    def isatty(self):
        return True

    @property
    def shown(self):
        self.flush()
        return self.buffer.getvalue().decode("utf-8")


@pytest.fixture
def at_terminal(monkeypatch):
    """Run `lrp` at a terminal; give what it shows but for colours, of which nothing is an order."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LRP_PAGER", "cat")
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments, status=0):
        terminal = Terminal()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", terminal)
            patched.setattr(sys, "stderr", terminal)
            with pytest.raises(SystemExit) as ended:
                main([str(each) for each in arguments], prog_name="lrp")
        assert ended.value.code == status, terminal.shown
        plain = OWN.sub("", terminal.shown)
        assert not ORDERS.search(plain), repr(plain)
        return plain

    return call


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE)
def text(request):
    return request.param


@pytest.fixture
def model(tmp_path):
    """A model whose classes are called so."""
    labels = {"labels": [f"{k}{EVERYTHING}" for k in range(3)]}
    return save(tmp_path / "m.pt", weights(), lambda state: {"state_dict": state} | labels)


@pytest.fixture
def of_sample(tmp_path):
    """A sample whose classes are called so, and a sequence of such tokens."""
    path = tmp_path / "in.jsonl"
    line = {"id": EVERYTHING, "tokens": ["bad", *HOSTILE.values()]}
    path.write_text(json.dumps(line) + "\n", "utf-8")
    labels = json.dumps([f"{k}{EVERYTHING}" for k in range(2)])
    return KERAS.model, path, "--set", f"labels={labels}"


@pytest.fixture
def results(tmp_path):
    """Results that have it wherever text is."""
    text = EVERYTHING
    line = {"sequence": 0, "id": text, "tokens": [text, f"{text}2"], "scores": [0.5, 0.25]}
    line |= {"predicted": text, "target": text, "label": f"{text}3", "method": text}
    line |= {"relevance": [0.25, 0.125], "ledger": {"score": 0.5, "tokens": 0.375, "residual": 0.1}}
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(line) + "\n", "utf-8")
    return path


class TestAtATerminal:
    @pytest.mark.parametrize("form", ["terminal", "tsv", "csv", "jsonl", "markdown", "html"])
    def test_explanations(self, at_terminal, of_sample, form):
        shown = at_terminal("explain", *of_sample, "--jobs", 1, "--format", form)
        assert "owned" in shown
        assert "http://evil.example" in shown.replace("\\", "")

    @pytest.mark.parametrize("form", ["terminal", "tsv", "jsonl"])
    def test_predictions(self, at_terminal, of_sample, form):
        assert "owned" in at_terminal("predict", *of_sample, "--jobs", 1, "--format", form)

    def test_a_model(self, at_terminal, model):
        at_terminal("inspect", model)
        at_terminal("inspect", model, "--format", "json")

    def test_summaries_and_comparisons(self, at_terminal, results):
        for form in ("table", "json", "html"):
            at_terminal("summarize", results, "--format", form)
        for form in ("table", "json"):
            at_terminal("compare", results, results, "--format", form)

    def test_errors(self, at_terminal, of_sample, model, text):
        name = text.replace("\0", "").replace("/", "")
        for arguments, status in [
            (("explain", *of_sample, "--target", name), 2),
            (("explain", model, f"{name}.txt"), 3),
            (("inspect", f"{name}.h5"), 3),
            (("inspect", model, "--format", name), 2),
            (("compare", model, model, model, name), 2),
            ((name,), 2),
        ]:
            shown = at_terminal(*arguments, status=status)
            assert shown.count("Error: ") + shown.count("lrp: ") == 1

    def test_no_text_is_markup(self, at_terminal, results):
        """In which it could be a link as well."""
        line = json.loads(results.read_text("utf-8"))
        line["target"] = line["predicted"] = "[bold]x[/bold]"
        results.write_text(json.dumps(line), "utf-8")
        assert "[bold]x[/bold]" in at_terminal("summarize", results)


class TestTexts:
    def test_json_says_the_same(self, text):
        found = json_text(msgspec.json.encode([text, "\U000e0041", "é"]))
        assert json.loads(found) == [text, "\U000e0041", "é"]
        assert not ORDERS.search(found)

    def test_a_document_may_name_a_file_whose_name_is_no_text(self):
        names = {"model": "a\udcffb", "read": ["\udcff", ("\ud800", 1)]}
        expected = {"model": "a\ufffdb", "read": ["\ufffd", ["\ufffd", 1]]}
        assert json.loads(json_document(names)) == expected

    @pytest.mark.parametrize("form", ["{}", "- {}\nlayers: 5", "# {}", "'{}\"", " {} "])
    def test_yaml_says_the_same(self, text, form):
        written = form.format(text)
        for document in ({"x": written}, {"labels": [written, "é"]}, {"x": {written: 1}}):
            found = yaml_text(document)
            assert found.replace("\n", "").isprintable()
            assert parse_yaml(found, "test") == document

    def test_a_comment_stays_one_line(self, text):
        found = comment(f"a\nlayers: []\r{text}")
        assert found.isprintable()
        assert found.startswith("# a\\nlayers: []")


@pytest.mark.skipif(sys.platform == "win32", reason="names of files are text there")
def test_a_file_whose_name_is_no_text(run, tmp_path):
    """It is named as well as can be, in tables, documents and comments."""
    folder = tmp_path / os.fsdecode(b"\xff\n# \x1b")
    folder.mkdir()
    path = save(folder / "m.pt", weights())
    (folder / "in.txt").write_text("1 2 3\n")
    for arguments in (("inspect", path), ("inspect", path, "--format", "json")):
        assert run(*arguments).exit_code == 0
    for ending in (".tsv", ".jsonl", ".md", ".html", ".npz"):
        out, report = folder / f"out{ending}", folder / "report.json"
        done = run("explain", path, folder / "in.txt", "--ids", "-o", out, "--report", report)
        assert done.exit_code == 0, done.stderr
    assert run("summarize", folder / "out.jsonl").exit_code == 0
    assert np.load(folder / "out.npz")["relevance"].shape[0] == 3
    mapping = folder / "written.yaml"
    assert run("inspect", path, "--write-mapping", mapping).exit_code == 0
    lines = mapping.read_text("utf-8").split("\n")
    assert lines[0].startswith("# How lrp reads m.pt")
    assert all(line.isprintable() for line in lines)
    assert run("inspect", path, "--mapping", mapping).exit_code == 0
