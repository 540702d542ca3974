"""`--baseline` and `--groups`: everything that they may be, on the command line and in Python."""

import json
import re

import numpy as np
import pytest
from models import KERAS, WEATHER, json_lines
from several import SeveralInputs

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput, WrongUsage

FEATURES = ["precipitation", "temp_max", "temp_min", "wind"]
METHODS = "integrated-gradients:steps=5,occlusion"
STEPS = 6


def explained(run, *arguments):
    result = run("explain", *arguments, "--format", "jsonl", "-q")
    assert result.exit_code == 0, result.stderr
    return json_lines(result.stdout)


def assert_alike(found, wanted):
    assert len(found) == len(wanted)
    for each, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(each["relevance"], other["relevance"], rtol=1e-9, atol=1e-12)


def problem_of(result):
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def weather():
    return lrp.load(WEATHER.model)


@pytest.fixture
def series(tmp_path):
    """Three series of as many steps, with names of their features, and as an array."""
    values = np.random.default_rng(1).normal(size=(3, STEPS, len(FEATURES))).round(3)
    lines = [f"sequence,step,{','.join(FEATURES)}"]
    for number, own in enumerate(values):
        lines += [f"{number},{t},{','.join(map(str, row))}" for t, row in enumerate(own.tolist())]
    (tmp_path / "series.csv").write_text("\n".join(lines) + "\n")
    np.save(tmp_path / "series.npy", values)
    return tmp_path / "series.csv", values


class TestBaselineOfNumbers:
    @pytest.mark.parametrize(
        ("text", "numbers"),
        [
            ("wind=3,temp_max=-1", [0, -1, 0, 3]),
            ("wind=3;temp_max=-1", [0, -1, 0, 3]),
            ("3=3, 1=-1", [0, -1, 0, 3]),
            ("1,2,3,4.5", [1, 2, 3, 4.5]),
            ("-2", [-2] * 4),
        ],
    )
    def test_may_be_told_by_feature(self, run, weather, series, text, numbers):
        path, values = series
        found = explained(run, WEATHER.model, path, "--method", METHODS, "--baseline", text)
        wanted = lrp.explain(weather, values, METHODS, baseline=np.array(numbers, dtype=float))
        for each, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(each["relevance"], other.relevance, rtol=1e-9, atol=1e-12)
        named = dict(zip(FEATURES, numbers, strict=True))
        by_number = lrp.explain(weather, values, METHODS, baseline=dict(enumerate(named.values())))
        for one, other in zip(by_number, wanted, strict=True):
            np.testing.assert_array_equal(one.relevance, other.relevance)

    def test_is_in_the_units_of_the_user(self, run, small):
        small.take_numbers()
        small.mapping["features"] = ["a", "b", "c"]
        small.save()
        scaled = np.random.default_rng(0).normal(size=(2, 4, 3))
        np.save(small.folder / "in.npy", scaled)
        np.save(small.folder / "user.npy", scaled * 2 + 5)
        arguments = ("--method", METHODS, "--target", 0)
        wanted = explained(
            run, small.path, small.folder / "in.npy", *arguments, "--baseline", "b=1"
        )
        means = explained(
            run,
            *(small.path, small.folder / "in.npy", *arguments),
            *("--baseline", f"mean:{small.folder / 'in.npy'}"),
        )
        small.mapping["scaling"] = {"minus": 5.0, "divide": 2.0}
        small.save()
        user = small.folder / "user.npy"
        for baseline, expected in (("b=7", wanted), (f"mean:{user}", means)):
            found = explained(run, small.path, user, *arguments, "--baseline", baseline)
            assert_alike(found, expected)

    def test_may_be_the_mean_of_a_file(self, weather, run, series):
        path, values = series
        told = ("--method", METHODS, "--baseline", f"mean:{path}")
        found = explained(run, WEATHER.model, path, *told)
        mean = values.reshape(-1, values.shape[2]).mean(axis=0)
        wanted = lrp.explain(weather, values, METHODS, baseline=mean)
        assert_alike(found, [{"relevance": each.relevance} for each in wanted])

    @pytest.mark.parametrize("written", ["{}", "file:{}"])
    def test_may_be_every_sequence_of_a_file(self, weather, run, series, written):
        path, values = series
        told = ("--method", METHODS, "--baseline", written.format(path.with_suffix(".npy")))
        found = explained(run, WEATHER.model, path, *told)
        each = [lrp.explain(weather, values, METHODS, baseline=own) for own in values]
        for k, one in enumerate(found):
            wanted = np.mean([own[k].relevance for own in each], axis=0)
            np.testing.assert_allclose(one["relevance"], wanted, rtol=1e-9, atol=1e-12)
            if one["ledger"]:
                at = np.mean([own[k].ledger["baseline"] for own in each])
                assert one["ledger"]["baseline"] == pytest.approx(at, rel=1e-9)
        together = lrp.explain(weather, values, METHODS, baseline=values)
        assert_alike(found, [{"relevance": own.relevance} for own in together])
        assert [own.relevance.tolist() for own in together] == [
            own.relevance.tolist()
            for own in lrp.explain(
                weather, values, METHODS, baseline=lrp.sequences(values, weather)
            )
        ]

    def test_may_be_one_step_of_a_file(self, weather, run, series, tmp_path):
        path, values = series
        np.save(tmp_path / "vector.npy", values[0, 0])
        np.save(tmp_path / "step.npy", values[:1, :1])
        wanted = lrp.explain(weather, values, METHODS, baseline=values[0, 0].tolist())
        for name in ("vector.npy", "step.npy"):
            told = ("--method", METHODS, "--baseline", tmp_path / name)
            found = explained(run, WEATHER.model, path, *told)
            assert_alike(found, [{"relevance": each.relevance} for each in wanted])

    def test_is_padded_as_sequences_are(self, small):
        small.take_numbers()
        del small.arrays["E"]
        small.mapping["padding"] = {"side": "pre", "length": 5, "value": 0}
        model = lrp.load(small.save())
        rng = np.random.default_rng(0)
        given, baseline = rng.normal(size=(3, 3)), rng.normal(size=(2, 3))
        filled = np.concatenate([np.zeros((3, 3)), baseline])
        for method in ("integrated-gradients", "occlusion"):
            [found] = lrp.explain(model, given, method, target=0, baseline=baseline)
            [wanted] = lrp.explain(model, given, method, target=0, baseline=filled)
            np.testing.assert_array_equal(found.relevance, wanted.relevance)
            [other] = lrp.explain(model, given, method, target=0)
            assert not np.allclose(found.relevance, other.relevance)

    @pytest.mark.parametrize("inside", [False, True], ids=["before the model", "in the model"])
    def test_is_the_mean_of_what_is_scaled_and_no_padding(self, run, small, inside):
        small.take_numbers()
        small.mapping["padding"] = {"side": "post", "length": 7, "value": 0}
        small.mapping["scaling"] = {"minus": [1.0, 2.0, 3.0], "divide": 2.0, "inside": inside}
        small.save()
        given = np.random.default_rng(0).normal(size=(2, 4, 3))
        np.save(small.folder / "in.npy", given)
        told = (small.path, small.folder / "in.npy", "--method", METHODS, "--target", 0)
        found = explained(run, *told, "--baseline", f"mean:{small.folder / 'in.npy'}")
        mean = ",".join(map(str, given.mean(axis=(0, 1)).tolist()))
        assert_alike(found, explained(run, *told, "--baseline", mean))

    def test_does_not_depend_on_processes(self, run, series):
        path, _ = series
        told = ("--method", METHODS, "--baseline", path)
        one, two = (explained(run, WEATHER.model, path, *told, "--jobs", n) for n in (1, 2))
        assert one == two

    def test_of_pandas_goes_by_its_names(self, small):
        """A frame's mean has its columns in their order, which need not be the model's."""
        pandas = pytest.importorskip("pandas")
        small.mapping["layers"] = [{"lstm": small.lstm}, {"dense": small.dense}]
        small.mapping.pop("vocabulary")
        small.mapping |= {"unused": ["E"], "features": ["a", "b", "c"]}
        model = lrp.load(small.save())
        values = np.random.default_rng(5).normal(size=(4, 3))
        found, wanted = (
            lrp.explain(model, values, "occlusion", target=0, baseline=each)[0].relevance
            for each in (pandas.Series({"c": 3.0, "a": 1.0, "b": 2.0}), [1.0, 2.0, 3.0])
        )
        np.testing.assert_array_equal(found, wanted)


class TestBaselineOfTokens:
    def test_may_be_the_mean_of_a_corpus(self, run, tmp_path):
        """Of embeddings, told from a file that is written as the input is."""
        model = lrp.load(KERAS.model)
        labelled = KERAS.model.parent / "labelled.txt"
        lines = labelled.read_text("utf-8").splitlines()[:5]
        few = tmp_path / "few.txt"
        few.write_text("\n".join(lines) + "\n", "utf-8")
        ids = np.concatenate(
            [each.inputs for each in lrp.read(few, model, labelled=True) if len(each)]
        )
        mean = model.only_input.embedding.weights[ids].mean(axis=0)
        told = ("--labelled", "--method", "occlusion", "--baseline", f"mean:{few}")
        found = explained(run, KERAS.model, few, *told)
        from lstm_lrp_cli.engine.methods import Baseline, InputBaseline

        own = Baseline("own", (InputBaseline(mean[None, None]),))
        wanted = lrp.explain(model, lrp.read(few, model, labelled=True), "occlusion", baseline=own)
        assert_alike(found, [{"relevance": each.relevance} for each in wanted])

    def test_is_read_as_the_input_is(self, run, small):
        small.save()
        ids = small.write("ids.txt", "0 1 2\n4 3\n")
        words = small.write("words.jsonl", '{"tokens": [0, 1, 2, 4, 3]}\n')
        told = ("--method", "occlusion", "--target", 0, "--baseline")
        by_ids = explained(run, small.path, ids, "--ids", *told, f"mean:{ids}")
        by_words = explained(run, small.path, ids, "--ids", *told, f"mean:{words}")
        assert_alike(by_ids, by_words)
        result = run("explain", small.path, words, *told, f"mean:{ids}")
        assert result.exit_code == 3
        assert "ids.txt: line 1" in problem_of(result)

    def test_hides_a_token_by_another(self, run, tmp_path):
        """Which is what the score loses as the one is written for the other."""
        model = lrp.load(KERAS.model)
        words = ["a", "fine", "and", "moving", "film"]
        [found] = lrp.explain(model, [words], "occlusion", baseline="<unk>")
        for place, amount in enumerate(found.relevance):
            changed = [*words[:place], "<unk>", *words[place + 1 :]]
            [other] = lrp.explain(model, [changed], target=found.target)
            assert amount == pytest.approx(found.score - other.score, rel=1e-9)

    def test_may_be_several_sentences_of_as_many_tokens(self):
        model = lrp.load(KERAS.model)
        samples = ["a film", "the end"]
        [found] = lrp.explain(model, ["moving picture"], METHODS, baseline=samples)[:1]
        each = [lrp.explain(model, ["moving picture"], METHODS, baseline=[own]) for own in samples]
        wanted = np.mean([own[0].relevance for own in each], axis=0)
        np.testing.assert_allclose(found.relevance, wanted, rtol=1e-9)


class TestFilesOfAnotherFormat:
    """What is said of INPUT is said of a baseline's file as far as it has a meaning there."""

    @pytest.mark.parametrize("kind", ["", "mean:"])
    def test_series(self, run, tmp_path, kind):
        values = np.random.default_rng(3).normal(size=(10, len(FEATURES))).round(3)
        lines = [",".join(["day", "label", "station", *FEATURES])]
        lines += [
            f"2024-01-{t + 1:02d},0,a,{','.join(map(str, row))}" for t, row in enumerate(values)
        ]
        (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
        plain = [",".join(line.split(",")[:1] + line.split(",")[2:]) for line in lines]
        (tmp_path / "plain.csv").write_text("\n".join(plain) + "\n")
        np.save(tmp_path / "windows.npy", values.reshape(2, 5, -1))
        windows = ["--window", 5, "--stride", 5, "--group", "station", "--label", "label"]
        asked = (WEATHER.model, tmp_path / "in.csv", *windows, "--method", METHODS, "--baseline")
        wanted, *others = (
            explained(run, *asked, f"{kind}{tmp_path / name}")
            for name in ("in.csv", "plain.csv", "windows.npy")
        )
        for found in others:
            assert_alike(found, wanted)

    def test_texts(self, run, small, tmp_path):
        small.save()
        table = small.write("in.csv", "review,mark,doc\nthe film,0,a\nis bad,1,b\n")
        small.write("background.csv", "review\nnot bad\n")
        small.write("background.txt", "not bad\n")
        told = ("--text", "review", "--label", "mark", "--id", "doc", "--method", METHODS)
        one, other = (
            explained(run, small.path, table, *told, "--baseline", small.folder / name)
            for name in ("background.csv", "background.txt")
        )
        assert_alike(one, other)
        lines = small.write("in.txt", "the film\n")
        told = ("--method", "occlusion", "--baseline", small.folder / "background.csv")
        result = run("explain", small.path, lines, *told)
        assert result.exit_code == 3
        assert "or .txt with a sequence a line" in problem_of(result)

    def test_what_is_left_out_of_them_is_said_if_anything_is(self, run, series, tmp_path):
        path, _ = series
        (tmp_path / "more.csv").write_text(f"note,{','.join(FEATURES)}\nx,1,2,3,4\n")
        asked = ("explain", WEATHER.model, path, "--method", "occlusion")
        asked += ("--baseline", tmp_path / "more.csv")
        assert "left out" in run(*asked).stderr
        assert run(*asked, "-q").stderr == ""


class TestSeveralInputs:
    @pytest.fixture
    def several(self, tmp_path):
        return SeveralInputs(tmp_path)

    def test_have_baselines_by_name(self, run, several):
        path, lines = several.save(), several.lines()
        model = lrp.load(path)
        methods = METHODS.replace("5", "50")
        told = ("--method", methods, "--baseline", "review=<unk>;wind=1,2; person=0=3,2=-1")
        found = explained(run, path, lines, *told)
        asked = {"review": "<unk>", "wind": [1, 2], "person": {0: 3.0, 2: -1.0}}
        wanted = lrp.explain(model, lrp.read(lines, model), methods, baseline=asked)
        alone = lrp.explain(model, lrp.read(lines, model), methods, baseline={"wind": [1, 2]})
        for each, other, one in zip(found, wanted, alone, strict=True):
            for name, own in each["relevance"].items():
                np.testing.assert_allclose(own, other.relevance[name], rtol=1e-9, atol=1e-12)
            if each["method"] == "occlusion":
                assert one.relevance["wind"].tolist() == other.relevance["wind"].tolist()
            if each["ledger"]:
                assert abs(each["ledger"]["residual"]) < 1e-3 * max(1, abs(each["ledger"]["score"]))

    def test_have_texts_in_the_column_that_is_told_of_theirs(self, run, several):
        path = several.save()
        review, wind, person = several.files()
        lines = several.folder / "review.txt"
        rows = [f"{text},1" for text in lines.read_text().splitlines()]
        table = several.write("t.csv", "\n".join(["rev,n", *rows]) + "\n")
        told = ("--method", "occlusion", "--baseline")
        from_table = (f"review={table}", wind, person, "--text", "review=rev", *told)
        found = explained(run, path, *from_table, f"review=mean:{table}")
        from_lines = (review, wind, person, *told)
        wanted = explained(run, path, *from_lines, f"review=mean:{lines}")
        assert [each["relevance"] for each in found] == [each["relevance"] for each in wanted]

    def test_have_the_mean_of_a_file_with_all(self, run, several):
        path, lines = several.save(), several.lines()
        told = ("--method", "occlusion", "--baseline")
        found = explained(run, path, lines, *told, f"mean:{lines}")
        wind = np.concatenate(several.series).mean(axis=0)
        person = several.people.mean(axis=0)
        by_name = f"wind={wind[0]},{wind[1]};person={','.join(map(str, person))}"
        for each, other in zip(found, explained(run, path, lines, *told, by_name), strict=True):
            for name in ("wind", "person"):
                own, wanted = each["relevance"][name], other["relevance"][name]
                np.testing.assert_allclose(own, wanted, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize(
        ("baseline", "problem"),
        [
            ("bad", "'bad' would be that of all inputs (review, wind, person)"),
            ("review=bad;rain=1", "'rain=1' names no input; expected review, wind, person"),
            ("wind=1;wind=2", "names wind twice"),
        ],
    )
    def test_that_are_meant_otherwise_are_told(self, run, several, baseline, problem):
        told = ("--method", "occlusion", "--baseline", baseline)
        result = run("explain", several.save(), several.lines(), *told)
        assert result.exit_code == 2
        assert problem in problem_of(result)

    def test_have_groups_by_name(self, run, several):
        path, lines = several.save(), several.lines()
        told = ("--method", "occlusion", "--groups", "review=0:2;person=x=0,2")
        found = explained(run, path, lines, *told)
        without = explained(run, path, lines, "--method", "occlusion")
        for each, other in zip(found, without, strict=True):
            assert each["relevance"]["wind"] == other["relevance"]["wind"]
            [person] = each["relevance"]["person"]
            assert person[0] == person[2]
            assert person[1] == other["relevance"]["person"][0][1]
            assert len({*each["relevance"]["review"][:2]}) <= 1

    def test_are_named_where_groups_are_told(self, run, several):
        result = run("explain", several.save(), several.lines(), "--method", "occlusion",
                     "--groups", "0:2")  # fmt: skip
        assert result.exit_code == 2
        assert "does not name inputs of the model (review, wind, person)" in problem_of(result)


class TestGroups:
    def test_of_features_by_name(self, run, weather, series):
        path, values = series
        told = ("--method", "occlusion", "--groups")
        found = explained(run, WEATHER.model, path, *told, "heat=temp_max,temp_min")
        wanted = lrp.explain(weather, values, "occlusion", groups={"heat": [1, 2]})
        assert_alike(found, [{"relevance": each.relevance} for each in wanted])
        masked = lrp.explain(weather, values, "occlusion", groups=np.array([7, 3, 3, 9]))
        assert_alike(found, [{"relevance": each.relevance} for each in masked])
        groups = path.with_name("groups.json")
        groups.write_text(json.dumps({"heat": ["temp_max", 2]}))
        assert_alike(explained(run, WEATHER.model, path, *told, f"file:{groups}"), found)
        np.save(path.with_name("mask.npy"), np.array([[0, 1, 1, 2]]))
        mask = path.with_name("mask.npy")
        assert_alike(explained(run, WEATHER.model, path, *told, f"file:{mask}"), found)

    def test_of_steps(self, weather, series):
        _, values = series
        blocks = lrp.explain(weather, values, "occlusion", by="step", groups=2)
        spans = lrp.explain(
            weather, values, "occlusion", by="step", groups=[(0, 2), (2, 4), (4, 6)]
        )
        for one, other in zip(blocks, spans, strict=True):
            assert one.relevance.tolist() == other.relevance.tolist()
            assert one.relevance[0::2].tolist() == one.relevance[1::2].tolist()
        whole = lrp.explain(weather, values, "occlusion", by="step", groups=":")
        zeros = lrp.predict(weather, np.zeros_like(values))
        for each, nothing in zip(whole, zeros, strict=True):
            lost = each.scores[0] - nothing.scores[0]
            assert each.relevance.sum() == pytest.approx(lost, rel=1e-9)

    @pytest.mark.parametrize(
        ("pieces", "words"),
        [
            (["play", "##ing", "now", "##here", "<unk>"], [0, 0, 1, 1, 2]),
            (["\u2581play", "ing", "\u2581now", "here", "<unk>"], [0, 0, 1, 1, 2]),
            (["\u2581na", "<0xC3>", "<0xAF>", "ve", "<s>"], [0, 0, 0, 0, 1]),
            (["\u0120play", "ing", "\u0120now", "here", "[SEP]"], [0, 0, 1, 1, 2]),
            (["play@@", "ing", "now@@", "here", "<unk>"], [0, 0, 1, 1, 2]),
            (["play", "ing</w>", "now", "here</w>", "<unk>"], [0, 0, 1, 1, 2]),
        ],
    )
    def test_of_words_by_their_pieces(self, run, small, pieces, words):
        small.vocabulary = "".join(f"{piece}\n" for piece in pieces)
        small.arrays["E"] = np.random.default_rng(0).normal(size=(len(pieces), 3))
        path = small.save()
        model = lrp.load(path)
        [found] = lrp.explain(model, [pieces], "occlusion", target=0, groups="words")
        spans = [(words.index(word), len(words) - words[::-1].index(word)) for word in {*words}]
        [wanted] = lrp.explain(model, [pieces], "occlusion", target=0, groups=spans)
        np.testing.assert_array_equal(found.relevance, wanted.relevance)

    @pytest.mark.parametrize(
        ("sample", "groups", "problem"),
        [
            (WEATHER, "0:5,3:8", "0:5 and 3:8 have the same steps"),
            (WEATHER, "heat=temp_max,nope", "there is no feature 'nope'; expected one of precip"),
            (WEATHER, "a=wind,b=wind", "the feature wind is in b and in another group"),
            (WEATHER, "a=wind,a=temp_max", "names the group a twice"),
            (WEATHER, "words", "words are of tokens, and the input has numbers"),
            (WEATHER, "3,0:5", "has spans, and a number of steps"),
            (WEATHER, "x", "'x' is none of spans (2:5,5:8)"),
            (WEATHER, "3:3", "'3:3' has no tokens in it"),
            (KERAS, "words", "tokens are words already"),
            (KERAS, "a=b,c", "groups features, and the input has tokens"),
            (KERAS, "x", "'x' is none of words, spans"),
        ],
    )
    def test_that_are_none_are_told(self, run, sample, groups, problem):
        told = ("--method", "occlusion", "--groups", groups)
        result = run("explain", sample.model, sample.sequences, *told)
        assert (result.exit_code, result.stdout) == (2, "")
        assert problem in problem_of(result)

    def test_of_a_mask_that_no_sequence_has_the_steps_of_are_told(self, weather, series):
        _, values = series
        mask = np.zeros((3, 4), dtype=int)
        with pytest.raises(UnusableInput, match=r"sequence 0: has 6 steps, and occlusion has grou"):
            lrp.explain(weather, values, "occlusion", groups=mask)
        for wrong in (np.zeros(3, dtype=int), np.zeros((3, 4)), np.zeros((0, 4), dtype=int)):
            with pytest.raises(WrongUsage, match="groups"):
                lrp.Explainer(weather, "occlusion", groups=wrong)

    def test_of_a_file_that_is_none_are_told(self, run, series, tmp_path):
        path, _ = series
        (tmp_path / "list.json").write_text("[1, 2]")
        for name, problem in (
            ("list.json", "is no object with lists of features"),
            ("none.npy", "there is no such file"),
            ("none.json", "none.json"),
        ):
            told = ("--method", "occlusion", "--groups", f"file:{tmp_path / name}")
            result = run("explain", WEATHER.model, path, *told)
            assert result.exit_code == 3
            assert problem in problem_of(result)


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("baseline", "problem"),
        [
            ("wind=3,sun=1", "there is no feature 'sun'; expected one of precipitation, temp_max"),
            ("wind=3,wind=4", "names a feature twice"),
            ("wind=x", "'x' is not a finite number"),
            ("1,2", "'1,2' has 2 numbers; expected one, or one for each of 4 features"),
            ("mean:", "'mean:' names no file"),
            ("mean:-", "'mean:-' names no file"),
        ],
    )
    def test_is_told(self, run, series, baseline, problem):
        told = ("--method", "occlusion", "--baseline", baseline)
        result = run("explain", WEATHER.model, series[0], *told)
        assert (result.exit_code, result.stdout) == (2, "")
        assert problem in problem_of(result)

    def test_with_a_file_names_it(self, run, series, tmp_path):
        path, values = series
        np.savez(tmp_path / "ragged.npz", a=values[0], b=values[1, :3])
        np.save(tmp_path / "long.npy", np.zeros((1, 9, 4)))
        (tmp_path / "empty.csv").write_text("")
        cases = (
            ("nothing.csv", "nothing.csv: there is no such input file"),
            ("empty.csv", "empty.csv: is empty"),
            ("ragged.npz", "ragged.npz: sequence 1: has 3 steps as the model is given it, and a"),
            ("long.npy", "sequence 0: has 6 steps, and occlusion has a baseline of 9"),
        )
        for name, problem in cases:
            told = ("--method", "occlusion", "--baseline", tmp_path / name)
            result = run("explain", WEATHER.model, path, *told)
            assert (result.exit_code, result.stdout) == (3, "")
            assert problem in problem_of(result)

    def test_features_without_names_are_told_by_number(self, run, series):
        path, _ = series
        told = ("--method", "occlusion", "--baseline", "wind=3")
        result = run("explain", WEATHER.model, path.with_suffix(".npy"), *told)
        assert result.exit_code == 2
        assert "the model does not say what its 4 features are called" in problem_of(result)

    def test_too_many_samples_are_refused(self, run, series, monkeypatch):
        from lstm_lrp_cli.explaining.settings import samples

        monkeypatch.setattr(samples, "SAMPLES_BYTES", 400)
        told = ("--method", "occlusion", "--baseline", series[0])
        result = run("explain", WEATHER.model, series[0], *told)
        assert result.exit_code == 3
        assert "MB of baselines (3 sequences)" in problem_of(result)


class TestTelling:
    NAMES = (
        "integrated-gradients:steps=5:baseline=wind=3,temp_max=1,"
        "occlusion:groups=heat=temp_max,temp_min:baseline=mean:{},lrp-all,occlusion:groups=0:2,-3:"
    )

    def test_stands_in_names_and_reports(self, run, series, tmp_path):
        path, _ = series
        report = tmp_path / "report.json"
        names = self.NAMES.format(path)
        asked = ("explain", WEATHER.model, path, "--method", names)
        result = run(*asked, "--report", report, "-o", tmp_path / "out.jsonl")
        assert result.exit_code == 0, result.stderr
        told = json.loads(report.read_text())["methods"]
        assert [{**each, "check": None, "ledger": None, "sizes": None}.items() for each in told]
        keys = ("baseline", "baseline_sequences", "groups")
        assert [{key: each[key] for key in keys if key in each} for each in told] == [
            {"baseline": "wind=3,temp_max=1"},
            {
                "baseline": f"mean:{path}",
                "baseline_sequences": 3,
                "groups": "heat=temp_max,temp_min",
            },
            {},
            {"groups": "0:2,-3:"},
        ]
        shown = run(*asked, "-o", tmp_path / "out.tsv").stderr
        assert f"baseline mean:{path}, baseline sequences 3, groups heat" in shown

    def test_one_method_with_two_baselines_is_compared(self, run, series):
        path, _ = series
        two = "occlusion:baseline=wind=1,temp_max=2,occlusion:baseline=0,0,0,1"
        told = ("--input", path, "--methods", two, "--format", "json")
        result = run("compare", WEATHER.model, *told)
        assert result.exit_code == 0, result.stderr
        assert "occlusion:baseline=wind=1,temp_max=2" in result.stdout

    def test_evaluate_takes_them(self, run, small):
        pieces = ["play", "##ing", "now", "##here", "<unk>", "a"]
        small.vocabulary = "".join(f"{piece}\n" for piece in pieces)
        small.arrays["E"] = np.random.default_rng(0).normal(size=(len(pieces), 3))
        small.save()
        text = small.folder / "in.txt"
        text.write_text("play ##ing a now ##here\na play now ##here a\n")
        told = ("--methods", "occlusion:groups=words:baseline=<unk>,random", "--target", 0)
        result = run("evaluate", small.path, text, *told, "--min-length", 2, "--format", "json")
        assert result.exit_code == 0, result.stderr
        [settings] = json.loads(result.stdout)["methods"]["occlusion:groups=words:baseline=<unk>"][
            "settings"
        ]
        assert settings == {"baseline": "<unk>", "groups": "words"}

    @pytest.mark.parametrize("option", ["--baseline", "--groups"])
    def test_needs_a_method_that_takes_it(self, run, option):
        result = run("explain", KERAS.model, KERAS.sequences, option, "0:2")
        assert result.exit_code == 2
        assert re.search(rf"{option} needs --method .*occlusion", problem_of(result))
