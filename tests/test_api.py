"""The Python API: what a notebook or program does, and that it is what the command line does."""

import doctest
import html.parser
import json
import math
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from models import KERAS, PYTORCH, WEATHER, with_input
from msgspec.structs import replace
from processes import run_lrp
from threadpoolctl import threadpool_info

import lstm_lrp_cli as lrp
from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.model.text import Padding
from lstm_lrp_cli.outputs import OUTPUTS

TEXTS = ["a fine and moving film", "The plot is a bore .", "unheardof wordsalad"]


@pytest.fixture(scope="module")
def model():
    return lrp.load(KERAS.model)


@pytest.fixture(scope="module")
def weather():
    return lrp.load(WEATHER.model)


@pytest.fixture
def series(weather):
    return [each.inputs for each in list(lrp.read(WEATHER.sequences, weather))[:3]]


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.tokens == other.tokens
        assert (one.target, one.predicted) == (other.target, other.predicted)
        assert one.score == pytest.approx(other.score, abs=1e-12)
        np.testing.assert_allclose(one.relevance, other.relevance, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def expected(model, tmp_path_factory):
    """What the command line's reader makes of the texts."""
    path = tmp_path_factory.mktemp("given") / "lines.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return lrp.explain(model, lrp.read(path, model))


class TestNames:
    def test_there_are_ten_and_each_is_there(self):
        assert len(lrp.__all__) == 10
        for name in lrp.__all__:
            assert getattr(lrp, name).__name__ == name
        assert set(lrp.__all__) <= set(dir(lrp))

    def test_another_is_missing(self):
        with pytest.raises(AttributeError, match="explian"):
            _ = lrp.explian

    def test_the_import_alone_takes_no_numpy(self):
        code = "import sys, lstm_lrp_cli; sys.exit('numpy' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0

    @pytest.mark.parametrize("name", lrp.__all__)
    def test_each_says_what_it_takes_and_its_examples_are_so(self, name, tmp_path, monkeypatch):
        shutil.copytree(KERAS.model.parent, tmp_path, dirs_exist_ok=True)
        monkeypatch.chdir(tmp_path)
        given = getattr(lrp, name)
        assert "Parameters\n" in given.__doc__
        tests = doctest.DocTestFinder(recurse=False).find(
            given, name, globs={"lrp": lrp, "np": np, "model": lrp.load("model.h5")}
        )
        assert sum(len(each.examples) for each in tests) >= 1
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        for test in tests:
            runner.run(test)
        assert runner.failures == 0


class TestLoad:
    def test_says_what_is_assumed_and_keeps_it(self, tmp_path):
        path = tmp_path / "model.npz"
        shutil.copy(PYTORCH.model, path)
        mapping = PYTORCH.model.with_suffix(".yaml").read_text()
        text = mapping.replace("labels: [negative, neutral, positive]\n", "")
        (tmp_path / "vocab.txt").write_bytes((PYTORCH.model.parent / "vocab.txt").read_bytes())
        (tmp_path / "other.yaml").write_text(text)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model = lrp.load(path, tmp_path / "other.yaml")
        assert [str(each.message) for each in told] == model.warnings
        assert all(each.filename == __file__ for each in told)

    def test_of_what_is_no_model_says_why(self):
        with pytest.raises(lrp.UnusableInput, match=r"sentences\.txt"):
            lrp.load(KERAS.sequences)

    def test_another_precision_is_refused(self):
        with pytest.raises(ValueError, match="float16"):
            lrp.load(KERAS.model, dtype="float16")


class TestTextsThatAProgramHas:
    """However they are given, they are explained as the command line explains the same lines."""

    def test_one(self, model, expected):
        same(lrp.explain(model, TEXTS[0]), expected[:1])

    @pytest.mark.parametrize("make", [list, tuple, iter, np.array], ids=lambda each: each.__name__)
    def test_several(self, model, expected, make):
        same(lrp.explain(model, make(TEXTS)), expected)

    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_a_column_of_a_table(self, model, expected, library):
        column = pytest.importorskip(library).Series(TEXTS)
        same(lrp.explain(model, column), expected)

    def test_tokens(self, model, expected):
        same(lrp.explain(model, [each.tokens for each in expected]), expected)

    def test_ids(self, model, expected):
        ids = [each.sequence.inputs for each in expected]
        named = [each.relevance for each in lrp.explain(model, ids)]
        for one, other in zip(named, expected, strict=True):
            np.testing.assert_allclose(one, other.relevance, rtol=0, atol=1e-12)
        [alone] = lrp.explain(model, ids[0].tolist())
        np.testing.assert_allclose(alone.relevance, expected[0].relevance, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "int64"])
    def test_ids_that_were_saved_as_floats(self, model, expected, dtype, tmp_path):
        ids = np.array([expected[0].sequence.inputs] * 2).astype(dtype)
        np.save(tmp_path / "ids.npy", ids)
        for given in (ids, list(ids), lrp.read(tmp_path / "ids.npy", model)):
            for each in lrp.explain(model, given):
                np.testing.assert_allclose(each.relevance, expected[0].relevance, atol=1e-12)
        for wrong in (0.5, np.nan, np.inf, -1.0, 1e30):
            ids = np.array([expected[0].sequence.inputs], dtype=np.float64)
            ids[0, 1] = wrong
            for given in (ids, list(ids)):
                with pytest.raises(lrp.UnusableInput):
                    lrp.explain(model, given)

    def test_many_are_made_as_they_are_needed(self, model):
        taken = []

        def texts():
            for number in range(10_000):
                taken.append(number)
                yield TEXTS[number % 3]

        first = next(iter(lrp.sequences(texts(), model)))
        assert first.tokens == ("a", "fine", "and", "moving", "film")
        assert len(taken) < 1000

    def test_labels(self, model):
        found = lrp.explain(model, TEXTS, labels=["positive", 0, None], target="predicted")
        assert [each.label for each in found] == ["positive", "negative", None]
        assert [each.right for each in found] == [True, found[1].predicted == "negative", None]

    @pytest.mark.parametrize("labels", [np.array([1.0, 0.0, 1.0]), np.array([[1], [0], [1]])])
    def test_labels_of_an_array(self, model, labels):
        """What a network was trained with: floats, one column."""
        found = lrp.sequences(TEXTS, model, labels=labels)
        assert [each.gold for each in found] == [1, 0, 1]
        with pytest.raises(lrp.UnusableInput, match="labels: row 0: label `2`"):
            list(lrp.sequences(TEXTS, model, labels=labels * 2))

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (["positive"], "sequence 1: has no label"),
            (["positive"] * 4, "labels: are more than the sequences"),
            (["positive", "great", None], "sequence 1: label `great`"),
        ],
    )
    def test_labels_that_do_not_fit(self, model, labels, message):
        with pytest.raises(lrp.UnusableInput, match=message):
            lrp.explain(model, TEXTS, labels=labels)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (None, "input: is missing"),
            (3, "input: is of type int"),
            (b"text", "input: is of type bytes"),
            (["a", None], "sequence 1: is missing"),
            (["a", math.nan], "sequence 1: is missing"),
            ([["a"], ["b", 1]], "sequence 1: its tokens are neither"),
            ([["a"], "b"], "sequence 1: is of type str"),
            ([[1], [99_999_999]], "sequence 1: token id 99999999 is out of range"),
            (np.full((2, 3), 0.5), "input: sequence 0: a sequence is float64"),
            (np.zeros((2, 3, 4), int), "has shape"),
        ],
    )
    def test_what_is_no_text_is_refused(self, model, given, message):
        with pytest.raises(lrp.UnusableInput, match=message):
            lrp.explain(model, given)

    def test_a_whole_table_is_asked_for_its_column_of_texts(self, model, expected):
        table = pytest.importorskip("pandas").DataFrame({"text": TEXTS})
        same(lrp.explain(model, table), expected)
        with pytest.raises(lrp.UnusableInput, match=r"say which has the texts.*text='body'"):
            lrp.explain(model, table.rename(columns={"text": "body"}))

    def test_nothing_is_nothing(self, model):
        assert lrp.explain(model, []) == []


class TestSeriesThatAProgramHas:
    def test_one_and_several(self, weather, series):
        expected = [lrp.explain(weather, each)[0] for each in series]
        same(lrp.explain(weather, series), expected)
        alike = [each[:20] for each in series]
        stacked = lrp.explain(weather, np.stack(alike))
        same(stacked, lrp.explain(weather, alike))
        [nested] = lrp.explain(weather, series[0].tolist())
        np.testing.assert_allclose(nested.relevance, expected[0].relevance, rtol=0, atol=1e-12)

    def test_a_table_names_its_features(self, weather, series):
        pandas = pytest.importorskip("pandas")
        [found] = lrp.explain(weather, pandas.DataFrame(series[0], columns=list("abcd")))
        assert found.features == ("a", "b", "c", "d")

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("text", "takes numbers"),
            (np.zeros((5, 3)), "has shape"),
            ([np.zeros((5, 4)), np.zeros((5, 3))], "sequence 1: has 3 features"),
            (np.full((5, 4), np.nan), "expected finite numbers"),
            ([[1.0, 2.0, 3.0, 4.0], [1.0]], "is no array of numbers"),
        ],
    )
    def test_what_is_no_series_is_refused(self, weather, given, message):
        with pytest.raises(lrp.UnusableInput, match=message):
            lrp.explain(weather, given)


class TestExplainer:
    def test_gives_what_the_command_line_writes(self, model):
        names = "lrp-all,occlusion"
        explainer = lrp.Explainer(model, names, target="all", eps=0.01)
        found = list(explainer(lrp.read(KERAS.sequences, model)))
        written = run_lrp(
            *("explain", KERAS.model, KERAS.sequences, "--method", names, "--eps", "0.01"),
            *("--target", "all", "--format", "jsonl"),
        )
        lines = [json.loads(line) for line in written.stdout.splitlines()]
        assert len(lines) == len(found)
        for line, each in zip(lines, found, strict=True):
            assert line["relevance"] == pytest.approx(each.relevance.tolist(), abs=1e-12)
            assert line["tokens"] == list(each.tokens)
            assert (line["predicted"], line["target"], line["method"]) == (
                each.predicted,
                each.target,
                each.method,
            )
            if each.ledger is not None:
                assert line["ledger"]["residual"] == pytest.approx(each.ledger.residual, abs=1e-12)

    def test_reads_no_more_than_is_asked_for(self, model):
        def broken():
            yield from lrp.sequences(TEXTS, model)
            raise lrp.UnusableInput("the rest", "is lost")

        found = lrp.Explainer(model)(broken())
        assert [next(found).sequence.number for _ in TEXTS] == [0, 1, 2]
        with pytest.raises(lrp.UnusableInput, match="is lost"):
            next(found)

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"target": "good"}, "there is no class 'good'"),
            ({"target": 2}, "there is no class '2'"),
            ({"by": "step"}, "takes tokens; expected token or dimension"),
            ({"step": "last"}, "one score a sequence"),
            ({"methods": "lpr-all"}, "there is no method 'lpr-all'"),
            ({"methods": "occlusion", "eps": 0.1}, "`eps` needs `methods` lrp-all"),
            ({"eps": -1}, "`eps`: -1.0 is not in the range x>=0"),
            ({"bias_factor": "much"}, "'much' is not a valid float"),
            ({"methods": "integrated-gradients", "steps": 2.5}, "not a valid integer"),
            ({"sped": 1}, "there is no setting 'sped'"),
            ({"text": "a"}, r"no setting 'text': .* lrp.sequences\(table, model, text=..\) takes"),
            ({"methods": []}, "none is named"),
            ({"methods": [METHODS["occlusion"](Settings())], "eps": 1}, "have been made"),
        ],
    )
    def test_a_question_that_makes_no_sense(self, model, asked, message):
        with pytest.raises(ValueError, match=message):
            lrp.Explainer(model, **{"methods": "lrp-all", **asked})

    def test_what_stands_in_the_place_of_another(self, model):
        with pytest.raises(ValueError, match="`model`: is of type str; expected what `load` gives"):
            lrp.read(model, "sentences.txt")
        with pytest.raises(ValueError, match="`path`: is of type list; `sequences` takes what is"):
            lrp.read(["a film"], model)

    def test_the_true_class_must_be_known(self, model):
        with pytest.raises(lrp.UnusableInput, match="sequence 1: has no true class"):
            lrp.explain(model, TEXTS, target="gold", labels=["positive", None, None])

    def test_relevance_that_is_not_conserved_is_warned_of(self, model, monkeypatch):
        monkeypatch.setattr("lstm_lrp_cli.engine.records.Ledger.residual", 0.5)
        with pytest.warns(UserWarning, match="relevance is not conserved by lrp-all"):
            lrp.explain(model, TEXTS)

    def test_no_more_threads_are_taken_than_before(self, model):
        def threads():
            return [each["num_threads"] for each in threadpool_info()]

        before = threads()
        during = []
        for _ in lrp.Explainer(model)(lrp.sequences(TEXTS, model)):
            during.append(threads())
        assert during == [before] * 3
        assert threads() == before


class TestWhatANewcomerDoes:
    """Mistakes that are made have an error that says what was expected."""

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (lambda model: lrp.explain(str(KERAS.model), "text"), "expected what `load` gives"),
            (lambda model: lrp.load(model), "expected the path of a file"),
            (lambda model: lrp.load(KERAS.model, ["labels"]), "the path of a YAML file, or a dict"),
            (lambda model: lrp.load(KERAS.model, dtype="foo"), "neither float64 nor float32"),
            (lambda model: lrp.explain(model, "a", method="random"), "did you mean 'methods'"),
            (
                lambda model: lrp.write(lrp.predict(model, "a"), "x.tsv"),
                "there are no explanations",
            ),
            (
                lambda model: lrp.write(lrp.explain(model, "a") + lrp.explain(model, "b"), "x.tsv"),
                "of several explainers",
            ),
        ],
    )
    def test_wrong_usage(self, model, tmp_path, monkeypatch, wrong, message):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match=message):
            wrong(model)
        assert list(tmp_path.iterdir()) == []

    def test_an_explainer_takes_what_explain_takes(self, model, expected):
        same(list(lrp.Explainer(model)(TEXTS)), expected)

    def test_a_span_is_a_pair_as_well(self, model):
        by = {"methods": "contextual-decomposition", "by": "token"}
        [one], [other] = (lrp.explain(model, TEXTS[0], span=span, **by) for span in [(0, 2), "0:2"])
        np.testing.assert_array_equal(one.relevance, other.relevance)

    def test_a_file_that_is_taken_for_a_text_is_warned_of(self, model):
        with pytest.warns(UserWarning, match=r"lrp\.read reads it"):
            lrp.explain(model, str(KERAS.sequences))

    def test_one_explanation_is_written(self, model, tmp_path):
        lrp.write(lrp.explain(model, "a film")[0], tmp_path / "x.tsv")
        assert len((tmp_path / "x.tsv").read_text().splitlines()) == 3

    def test_what_stands_at_the_end_of_a_cell_is_short(self, model):
        for shown in (model, lrp.Explainer(model, "lrp-all,occlusion")):
            assert len(repr(shown)) < 400
            assert "model.h5" in repr(shown)

    def test_several_explanations_show_their_heat_maps(self, model):
        found = lrp.explain(model, TEXTS * 10)
        assert found._repr_html_().count("<b>") == 20
        assert "and 10 more" in found._repr_html_()

    def test_what_a_message_ends_in_is_there(self):
        error = lrp.UnusableInput("m.pt", "choose here and save it as m.yaml:", "layers:")
        assert str(error).splitlines() == ["m.pt: choose here and save it as m.yaml:", "layers:"]


class TestPredict:
    def test_gives_what_the_command_line_writes(self, model):
        written = run_lrp("predict", KERAS.model, KERAS.sequences, "--format", "jsonl")
        lines = [json.loads(line) for line in written.stdout.splitlines()]
        found = lrp.predict(model, lrp.read(KERAS.sequences, model))
        assert [each.predicted for each in found] == [line["predicted"] for line in lines]
        assert [each.scores.tolist() for each in found] == [line["scores"] for line in lines]
        assert [each.probabilities.tolist() for each in found] == [
            line["probabilities"] for line in lines
        ]


class TestWrite:
    @pytest.mark.parametrize("form", OUTPUTS)
    def test_is_what_the_command_line_writes(self, model, tmp_path, form):
        if form.startswith("parquet"):
            pytest.importorskip("pyarrow")
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        by = "dimension" if form == "npz" else "token"
        explainer = lrp.Explainer(model, by=by)
        lrp.write(explainer(lrp.read(KERAS.sequences, model)), ours, format=form)
        run_lrp("explain", KERAS.model, KERAS.sequences, "--format", form, "-o", theirs, "-q")
        if form in ("tsv", "csv", "jsonl"):
            assert ours.read_bytes() == theirs.read_bytes()
        elif form == "terminal":  # with the terminal's own width
            assert all(b"incredible" in path.read_bytes() for path in (ours, theirs))
        else:  # they tell of the run, of which a program has no names
            assert ours.stat().st_size == pytest.approx(theirs.stat().st_size, rel=0.02)

    def test_by_the_ending(self, model, tmp_path):
        path = tmp_path / "relevance.jsonl"
        lrp.write(lrp.explain(model, TEXTS), path)
        assert [json.loads(line)["sequence"] for line in path.read_text().splitlines()] == [0, 1, 2]

    def test_a_file_is_there_whole_or_not_at_all(self, model, tmp_path):
        def broken():
            yield from lrp.explain(model, TEXTS)
            raise lrp.UnusableInput("the rest", "is lost")

        with pytest.raises(lrp.UnusableInput):
            lrp.write(broken(), tmp_path / "x.tsv")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"path": "x.doc"}, "the ending of x.doc is of no format"),
            ({"path": "x", "format": "xml"}, "'xml' is of no format"),
            ({"path": "x.jsonl", "top": 3}, "has a place for every relevance"),
        ],
    )
    def test_what_cannot_be_written(self, model, options, message):
        with pytest.raises(ValueError, match=message):
            lrp.write(lrp.explain(model, TEXTS), **options)

    def test_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="there are no explanations"):
            lrp.write([], tmp_path / "x.tsv")


class Tags(html.parser.HTMLParser):
    """Takes note of tags and text, and that each tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], set(), ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_data(self, data):
        self.text += data


def tags_of(explanation):
    found = Tags()
    found.feed(explanation._repr_html_())
    assert found.open == []
    assert not found.seen & {"script", "style", "link", "iframe", "img"}
    return found


class TestShown:
    def test_tokens_with_their_relevance(self, model):
        [e] = lrp.explain(model, "a fine and moving film")
        for text in (repr(e), tags_of(e).text):
            assert "predicted positive" in text
            assert all(token in text for token in e.tokens)
        assert repr(e).count("moving(+0.684)") == 1
        assert "residual" in repr(e)

    def test_text_is_never_markup(self, tmp_path):
        words = ['<script>alert("x")</script>', '"><b>', "&amp;", "</div>"]
        model = lrp.load(PYTORCH.model)
        known = {word: number for number, word in enumerate(words, 5)}
        hostile = with_input(model, vocabulary=replace(model.only_input.vocabulary, ids=known))
        [e] = lrp.explain(hostile, [words])
        assert e.tokens == tuple(words)
        assert all(word in tags_of(e).text for word in words)

    def test_a_series_has_a_row_for_each_feature(self, weather, series):
        [e] = lrp.explain(weather, series[0])
        found = tags_of(e)
        assert "polyline" in found.seen
        assert all(name in found.text and name in repr(e) for name in e.features)

    def test_long_series_and_many_features_stay_small(self, weather):
        long = np.random.default_rng(1).normal(size=(20_000, 4))
        [e] = lrp.explain(weather, long)
        assert "a cell is 125 of 20,000 steps" in tags_of(e).text
        assert len(e._repr_html_()) < 1_500_000
        assert len(repr(e)) < 1000

    def test_whole_steps(self, weather, series):
        [e] = lrp.explain(weather, series[0], by="step")
        assert "all features" in tags_of(e).text
        assert "step 0(" in repr(e)

    def test_a_long_text(self, model):
        [e] = lrp.explain(model, "fine film " * 500)
        assert "and 940 weaker tokens" in repr(e)

    def test_what_the_model_does_not_read(self, weather, series):
        masked = with_input(weather, padding=Padding("pre", 0, 0.0, True))
        given = series[0].copy()
        given[:2] = 0.0
        [e] = lrp.explain(masked, given, by="step")
        assert np.isnan(e.relevance[:2]).all()
        assert repr(e).count("not read") == 2
