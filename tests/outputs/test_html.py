"""The page as a file: what it holds, and that nothing from a file is more than text in it."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest
from models import KERAS, WEATHER, json_lines
from pages import Page

from lstm_lrp_cli.outputs.html import read
from lstm_lrp_cli.running import blocks as rendering

HOSTILE = "</script><script>stolen()</script>"


@pytest.fixture
def page(run, tmp_path):
    """The page that `lrp explain` writes."""

    def page_of(*arguments):
        path = tmp_path / "report.html"
        result = run("explain", *arguments, "-q", "-o", path)
        assert result.exit_code == 0, result.output
        return Page(path.read_text("utf-8"))

    return page_of


def labelled(sample):
    return sample.model, sample.sequences.with_name("labelled.txt"), "--labelled"


class TestData:
    def test_it_is_what_json_lines_have_to_six_digits(self, run, page):
        lines = json_lines(run("explain", *labelled(KERAS), "-q", "--format", "jsonl").stdout)
        read = page(*labelled(KERAS))
        names = read.about["classes"]
        for line, each in zip(lines, read.explanations, strict=True):
            size, score = line["ledger"].pop("stabilizers_size"), line["ledger"]["score"]
            marked = any(doubt.startswith("stabilizers") for doubt in each.get("doubts", ()))
            assert marked == (size > 0.5 * abs(score))
            assert each["sequence"] == line["sequence"]
            assert each["tokens"] == line["tokens"]
            assert names[each["target"]] == line["target"]
            assert names[each["predicted"]] == line["predicted"]
            assert names[each["label"]] == line["label"]
            assert each["right"] == (line["predicted"] == line["label"])
            for found, exact in (
                (each["relevance"], line["relevance"]),
                (each["scores"], line["scores"]),
                (each["ledger"], list(line["ledger"].values())),
            ):
                np.testing.assert_allclose(found, exact, rtol=5.1e-6)
        assert read.about["shares"] == [list(lines[0]["ledger"])[1:-1]]

    def test_a_sequence_stands_once_however_often_it_is_explained(self, page):
        methods = ("--target", "all", "--method", "lrp-all,occlusion")
        read = page(*labelled(KERAS), *methods)
        of_first = [each for each in read.explanations if each["sequence"] == 0]
        assert [(each["target"], each["method"]) for each in of_first] == [
            (0, "lrp-all"), (0, "occlusion"), (1, "lrp-all"), (1, "occlusion"),
        ]  # fmt: skip
        assert ["tokens" in each for each in of_first] == [True, False, False, False]
        assert [each["ledger"] is None for each in of_first] == [False, True, False, True]
        assert read.about["methods"] == ["lrp-all", "occlusion"]

    @pytest.mark.parametrize(("by", "shape"), [("feature", (28, 4)), ("step", (28,))])
    def test_a_series_has_values_and_relevance_of_what_was_asked_for(self, page, by, shape):
        first = page(WEATHER.model, WEATHER.sequences, "--by", by).explanations[0]
        assert np.shape(first["values"]) == (28, 4)
        assert first["features"] == ["precipitation", "temp_max", "temp_min", "wind"]
        assert np.shape(first["relevance"]) == shape

    def test_an_empty_sequence_has_no_score_where_each_step_has_one(self, page, small):
        small.lstm["returns"] = "sequence"
        text = small.write("in.txt", "not bad\n\n")
        read = page(small.save(), text, "--step", "all")
        assert [each["step"] for each in read.explanations] == [0, 1, None]
        assert read.explanations[-1]["target"] is None
        assert read.explanations[-1]["scores"] == []


class TestTextFromFiles:
    def test_data_holds_no_character_that_could_end_it(self, page, small):
        tokens = [HOSTILE, "<!--", "a & b", '"it\'s"', "\u2028\u2029", "\x00\x1b[31m", "é😀"]
        small.mapping["tokens"] = {"unknown": "the"}
        objects = {"id": HOSTILE, "tokens": tokens}
        lines = small.write("in.jsonl", json.dumps(objects) + "\n")
        read = page(small.save(), lines)
        [block] = read.blocks
        assert not set("<>&\u2028\u2029") & set(block)
        assert read.explanations[0]["tokens"] == tokens
        assert read.explanations[0]["id"] == HOSTILE
        assert len(read.of("script")) == 3  # data, about, and the page's own

    def test_names_are_escaped_wherever_they_stand(self, page, small):
        name = "<img src=x onerror=stolen()>&'\""
        small.mapping["labels"] = [name, "b", "c"]
        series = small.write(f"{name}.txt", "not bad\n")
        read = page(small.save(), series)
        assert not [tag for tag, _ in read.elements if tag == "img"]
        assert f"<h1>{name}" not in read.text
        assert name in read.shown
        assert read.about["classes"][0] == name

    def test_names_of_features_are_escaped(self, page, tmp_path):
        text = WEATHER.sequences.read_text("utf-8").replace("wind", HOSTILE, 1)
        series = tmp_path / "series.csv"
        series.write_text(text, "utf-8")
        read = page(WEATHER.model, series)
        assert read.explanations[0]["features"][3] == HOSTILE
        assert len(read.of("script", type="module")) == 1


class TestThePage:
    def test_it_needs_nothing_else(self, page):
        read = page(*labelled(KERAS))
        named = {key for _, attributes in read.elements for key in attributes}
        assert not named & {"src", "srcset", "data", "style", "onclick"}
        assert all(attrs["href"].startswith("#") for _, attrs in read.elements if "href" in attrs)
        [style] = read.of("style")
        assert "url(" not in style
        assert "@import" not in style

    def test_its_policy_allows_its_own_style_and_script_alone(self, page):
        read = page(*labelled(KERAS))
        [policy] = [
            attributes["content"]
            for _, attributes in read.elements
            if attributes.get("http-equiv") == "Content-Security-Policy"
        ]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == "'none'"
        for kind, [text] in (
            ("style-src", read.of("style")),
            ("script-src", read.of("script", type="module")),
        ):
            digest = hashlib.sha256(text.encode()).digest()
            assert rules[kind] == f"'sha256-{base64.b64encode(digest).decode()}'"

    def test_it_tells_of_the_run(self, page):
        shown = page(*labelled(KERAS), "--eps", "0.01").shown
        for told in (
            "lrp-all eps 0.01 bias factor 0",
            "100 sequences, 1,954 tokens, 281 unknown",
            "positive 50, negative 50",
            "82.0 % 82 of 100 right",
            "lrp-all: conserved",
        ):
            assert told in shown

    def test_it_tells_what_is_not_conserved(self, page):
        arguments = (KERAS.model, KERAS.sequences, "--method", "integrated-gradients")
        shown = page(*arguments, "--steps", "1").shown
        assert "integrated-gradients: not complete" in shown
        assert "Warning relevance is not complete" in shown

    def test_classes_without_labels_are_called_so(self, page, small):
        read = page(small.save(), small.write("in.txt", "not bad\n"))
        assert read.about["classes"] == ["class 0", "class 1", "class 2"]
        assert re.search(r"Predicted class [012] 1", read.shown)

    @pytest.mark.parametrize("task", ["regression", "unknown"])
    def test_scores_that_are_of_no_classes_are_not_called_so(self, page, small, task):
        small.mapping["task"] = task
        read = page(small.save(), small.write("in.txt", "not bad\n"))
        assert read.about["classes"] == ["output 0", "output 1", "output 2"]


class TestTheCommand:
    def test_the_ending_says_that_it_is_a_page(self, run, tmp_path):
        for name in ("a.html", "a.htm", "a.html.gz"):
            path = tmp_path / name
            assert run("explain", KERAS.model, KERAS.sequences, "-q", "-o", path).exit_code == 0
            assert path.read_bytes()[:2] == (b"\x1f\x8b" if name.endswith(".gz") else b"<!")

    def test_a_page_goes_to_standard_output_as_well(self, run):
        result = run("explain", KERAS.model, KERAS.sequences, "--format", "html")
        assert result.stdout.startswith("<!DOCTYPE html>")
        assert result.stdout.endswith("</html>\n")

    def test_half_a_page_never_appears(self, run, small, monkeypatch):
        """Where blocks before the wrong line are written already."""
        monkeypatch.setattr("lstm_lrp_cli.running.blocks.BLOCK_STEPS", 2**11)
        text = small.write("in.txt", "1 2\n" * 6000 + "1 nonsense\n")
        path = small.folder / "report.html"
        result = run("explain", small.save(), text, "--ids", "-q", "-o", path)
        assert result.exit_code == 3
        assert "nonsense" in result.stderr
        assert not [each for each in small.folder.iterdir() if "html" in each.name]

    def test_a_page_too_large_to_be_looked_at_is_warned_of(self, run, monkeypatch, tmp_path):
        arguments = ("explain", KERAS.model, KERAS.sequences, "-o", tmp_path / "a.html")
        assert "the page has" not in run(*arguments).stderr
        monkeypatch.setattr(rendering, "LARGE_PAGE", 10_000)
        assert "lrp: warning: the page has 0 MB" in run(*arguments).stderr
        assert "the page has" not in run(*arguments, "-q").stderr

    def test_predictions_are_not_written_as_a_page(self, run, tmp_path):
        arguments = ("predict", KERAS.model, KERAS.sequences)
        assert run(*arguments, "--format", "html").exit_code == 2
        result = run(*arguments, "-o", tmp_path / "a.html")
        assert result.exit_code == 2
        assert "end it in .tsv, .txt, .csv, .jsonl or .ndjson." in result.stderr


# What is left of red, green and blue, in linear light, where a kind of cone is missing: Machado,
# Oliveira and Fernandes (2009), severity 1.
BLINDNESSES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("kind", BLINDNESSES)
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("names", [("for", "against"), ("for-bar", "against-bar")])
def test_the_colours_of_for_and_against_differ_to_every_eye(kind, theme, names):
    def seen(name):
        """A colour as that eye has it, in CIELAB."""
        pair = re.search(rf"--{name}: light-dark\(#(\w+), #(\w+)\)", read("report.css"))
        digits = np.array([int(pair[theme + 1][k : k + 2], 16) for k in (0, 2, 4)]) / 255
        linear = np.where(digits <= 0.04045, digits / 12.92, ((digits + 0.055) / 1.055) ** 2.4)
        return lab(np.clip(np.array(BLINDNESSES[kind]) @ linear, 0, 1))

    first, second = map(seen, names)
    assert np.linalg.norm(first - second) > 40  # where 2.3 can just be told apart


def lab(linear):
    """CIELAB of linear sRGB, under D65."""
    xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    ratios = xyz @ linear / (xyz @ np.ones(3))
    f = np.where(ratios > (6 / 29) ** 3, np.cbrt(ratios), ratios / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
