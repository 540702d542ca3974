"""What a model predicts, and whether that is right, is the same in every command and output.

The class that is right is found here from the scores alone, by a rule of one line for each kind of
model; that the scores are the framework's is shown elsewhere.
"""

import json
import random
import re
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from installed import spec_of
from models import json_lines, table
from pages import Page

WORDS = ["the", "film", "is", "not", "bad"]
SENTENCES = 40


class Told(NamedTuple):
    """What is told of one vector of scores, at one output."""

    sequence: int
    step: int | None
    output: str | None
    predicted: str | None
    label: str | None = None
    right: bool | None = None


class Kind:
    """A kind of model.

    Attributes
    ----------
    outputs : dict
        Of each output, by its name, which scores are its own, and the names of its classes; of
        values, none. Of one score they are class 0, which it speaks against, and class 1.
    """

    def __init__(self, small, heads, *, labels=None, classes=None, task=None, by_step=False):
        rng = np.random.default_rng(3)
        embedding, lstm, _ = small.mapping["layers"]
        # Large weights, so that sentences differ.
        small.arrays = {name: 4 * array for name, array in small.arrays.items()}
        self.small, self.labels, self.by_step = small, labels, by_step
        self.names = labels or list(range(sum(size for size, _ in heads.values())))
        layers, self.outputs, start = [], {}, 0
        for name, (size, activation) in heads.items():
            small.arrays[f"{name}.weight"] = 3 * rng.standard_normal((size, 2))
            layers.append(
                {
                    "name": name,
                    "from": "state",
                    "dense": {
                        "weights": f"{name}.weight",
                        "layout": "classes_by_features",
                        "activation": activation,
                    },
                }
            )
            own = slice(start, start + size)
            values = task == "regression" or (activation == "linear" and len(heads) > 1)
            of_one = classes or ["0", "1"]
            named = None if values else of_one if size == 1 else list(map(str, self.names[own]))
            self.outputs[name if len(heads) > 1 else None] = own, named
            start += size
        small.mapping["layers"] = [embedding, {"name": "state", **lstm}, *layers]
        small.mapping |= {"outputs": list(heads)}
        small.mapping |= {"task": task} if task else {}
        small.mapping |= {"labels": labels} if labels else {}
        if by_step:
            small.lstm["returns"] = "sequence"
            small.mapping["padding"] = {"side": "pre", "length": 12, "masked": True}

    @property
    def classes(self):
        """The names of a classifier's classes, of which it has but one output."""
        return self.outputs[None][1]

    @property
    def labelled(self):
        return not self.by_step and None in self.outputs and self.classes is not None

    def taken(self, scores, output):
        """The class that scores take at an output; None where these are values."""
        own, names = self.outputs[output]
        if names is None:
            return None
        scores = scores[own]
        return names[int(scores[0] > 0)] if len(scores) == 1 else names[int(np.argmax(scores))]


KINDS = {
    "one score": {"heads": {"out": (1, "sigmoid")}},
    "one score that names class 1": {"heads": {"out": (1, "sigmoid")}, "labels": ["good"]},
    "one score that names both classes": {
        "heads": {"out": (1, "linear")},
        "labels": ["poor", "good"],
        "classes": ["poor", "good"],
    },
    "several scores": {"heads": {"out": (3, "softmax")}, "labels": ["a", "b", "c"]},
    "a value": {"heads": {"out": (1, "linear")}, "task": "regression"},
    "values": {"heads": {"out": (2, "linear")}, "task": "regression", "labels": ["x", "y"]},
    "two outputs": {"heads": {"likely": (1, "sigmoid"), "class": (3, "softmax")}},
    "two outputs with labels": {
        "heads": {"class": (3, "softmax"), "likely": (1, "sigmoid")},
        "labels": ["a", "b", "c", "likely"],
    },
    "two outputs, of which one is a value": {
        "heads": {"value": (1, "linear"), "class": (2, "softmax")}
    },
    # Of which the mask skips every `the`, the token of id 0.
    "one score a step": {"heads": {"out": (1, "sigmoid")}, "by_step": True},
    "several scores a step": {"heads": {"out": (3, "softmax")}, "by_step": True},
}
CLASSIFIERS = [name for name in KINDS if name.startswith(("one", "several")) and "step" not in name]


@pytest.fixture
def model(small):
    return lambda name: Kind(small, **KINDS[name])


class Corpus:
    """Sentences, with labels where the model can be judged by them, and what is right of them."""

    def __init__(self, run, kind):
        self.run, self.kind, small = run, kind, kind.small
        choose = random.Random(11)
        lines = [" ".join(choose.choices(WORDS, k=choose.randint(1, 9))) for _ in range(SENTENCES)]
        self.labels = [None] * SENTENCES
        self.options = ["-q"]
        if kind.labelled:
            self.labels = choose.choices(kind.classes, k=SENTENCES)
            lines = [f"{label}\t{line}" for label, line in zip(self.labels, lines, strict=True)]
            self.options.append("--labelled")
        self.texts = lines
        self.path = small.write("in.txt", "\n".join(lines) + "\n")
        self.model = small.save()
        self.step = ["--step", "all"] if kind.by_step else []

    def ask(self, command, *options):
        """Run a command on the model and the sentences, and give its result."""
        result = self.run(command, self.model, self.path, *options)
        assert result.exit_code == 0, result.output
        return result

    def explain(self, *options):
        return self.ask("explain", *self.options, *self.step, *options)

    @property
    def lines(self):
        return json_lines(self.explain("--format", "jsonl").stdout)

    def wanted(self, lines):
        """What every output must tell of lines of scores, output by output."""
        found = []
        for line in lines:
            if not line["scores"]:  # where all steps are masked
                found.append(Told(line["sequence"], None, None, None))
                continue
            for output in self.kind.outputs:
                predicted = self.kind.taken(line["scores"], output)
                label = self.labels[line["sequence"]]
                right = None if label is None else label == predicted
                told = Told(line["sequence"], line.get("step"), output, predicted, label, right)
                found.append(told)
        return list(dict.fromkeys(found))


@pytest.fixture
def corpus(run, model):
    return lambda name: Corpus(run, model(name))


def text(value):
    return None if value is None else str(value)


def of_rows(rows, by_step):
    """What rows of JSON lines, or of Parquet, tell."""
    for row in rows:
        predicted, label = text(row["predicted"]), text(row.get("label"))
        right = None if label is None else label == predicted
        step = row["step"] if by_step else None
        yield Told(row["sequence"], step, row.get("output"), predicted, label, right)


def told_by_jsonl(corpus):
    yield from of_rows(corpus.lines, corpus.kind.by_step)


def told_by_parquet(corpus):
    spec_of("pyarrow")
    from pyarrow import parquet

    path = corpus.path.with_suffix(".parquet")
    corpus.explain("--format", "parquet-nested", "-o", path)
    yield from of_rows(parquet.read_table(path).to_pylist(), corpus.kind.by_step)


def told_by_npz(corpus):
    """Classes are told as numbers: places in `targets`, but 0 and 1 of a single score."""
    path = corpus.path.with_suffix(".npz")
    corpus.explain("-o", path)
    with np.load(path) as file:
        arrays = dict(file)
    outputs = list(corpus.kind.outputs.items())
    for k, sequence in enumerate(arrays["sequence"].tolist()):
        # Of one output, class 1 of a single score may stand at place 1 of the targets.
        ends = (each for each in outputs if arrays["target"][k] < each[1][0].stop)
        output, (own, names) = outputs[0] if len(outputs) == 1 else next(ends)
        first = 0 if own.stop - own.start == 1 else own.start
        numbers = int(arrays["predicted"][k]), int(arrays["label"][k])
        predicted, label = (None if n == -1 else names[n - first] for n in numbers)
        step = int(arrays["step"][k]) if corpus.kind.by_step else -1
        right = None if label is None else label == predicted
        output = output if names else None
        yield Told(sequence, None if step == -1 else step, output, predicted, label, right)


def told_by_html(corpus):
    """What the page's data says, with the names that the page shows."""
    page = Page(corpus.explain("--format", "html").stdout)
    outcomes = [each["name"] for each in page.about["outcomes"]]
    label = right = None
    for each in page.explanations:
        if "label" in each:
            label, right = each["label"], each["right"]
        shown = None if each["predicted"] is None else outcomes[each["predicted"]]
        true = None if label is None else outcomes[label].removeprefix("class ")
        output = None
        if shown is not None and len(page.about["heads"]) > 1:
            place = each["target"]
            output = next(h["name"] for h in page.about["heads"] if place < h["stop"])
            shown = shown.removeprefix(f"{output}: ")
        predicted = shown and shown.removeprefix("class ")
        yield Told(each["sequence"], each["step"], output, predicted, true, right)


def told_by_people_s(corpus, heading, predicted, label):
    """What is read in a text: by patterns of a heading, and of what stands below or behind it."""
    shown = corpus.explain("--format", "markdown" if "##" in heading else "terminal").stdout
    for found in re.finditer(heading, shown, re.MULTILINE):
        outcome = re.match(r".*\n*.*" if "##" in heading else r".*", shown[found.start() :])[0]
        step = found["step"] and int(found["step"])
        of_outcome, of_label = re.search(predicted, outcome), re.search(label, outcome)
        judged = of_label and of_label.groupdict()
        name = of_outcome and of_outcome["predicted"]
        right = None if judged is None else judged.get("wrong") is None
        true = judged and (judged["label"] or name)
        yield Told(int(found["sequence"]), step, None, name, true, right)


def told_by_markdown(corpus):
    yield from told_by_people_s(
        corpus,
        r"^## Sequence (?P<sequence>\d+)(, step (?P<step>\d+))?$",
        r"predicted \*\*(?P<predicted>\w+)\*\*",
        r"label (?P<label>\w+) \((right|(?P<wrong>wrong))\)",
    )


def told_by_terminal(corpus):
    yield from told_by_people_s(
        corpus,
        r"^(?P<sequence>\d+)( step (?P<step>\d+))?  "
        r"(?=predicted|no score|(output )?\w+ [+-]\d+\.\d{3}$)",
        r"  predicted (?P<predicted>\w+)",
        r"  (right|(?P<wrong>wrong), true (?P<label>\w+))$",
    )


def steps_of(text):
    """The steps of a text that are told of by a model whose mask skips `the`."""
    return [step for step, word in enumerate(text.split()) if word != "the"]


READERS = {
    "jsonl": told_by_jsonl,
    "parquet": told_by_parquet,
    "npz": told_by_npz,
    "html": told_by_html,
    "markdown": told_by_markdown,
    "terminal": told_by_terminal,
}


def once(told):
    """What is told, each thing once: several values, or targets, have one sentence."""
    return list(dict.fromkeys(told))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", READERS)
def test_every_output_of_explain_tells_it(corpus, kind, form, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    of = corpus(kind)
    wanted = of.wanted(of.lines)
    assert any(len(set(each)) > 1 for each in by_output(wanted).values()) or "value" in kind
    named = form not in ("markdown", "terminal")  # in which people see a target's name instead
    wanted = [each if each.predicted and named else each._replace(output=None) for each in wanted]
    assert once(READERS[form](of)) == once(wanted)


@pytest.mark.parametrize("kind", [name for name in KINDS if name.endswith("a step")])
def test_steps_are_those_that_the_mask_leaves(corpus, kind):
    """In JSON lines, which all other outputs are held to."""
    of = corpus(kind)
    wanted = [
        (number, step) for number, text in enumerate(of.texts) for step in steps_of(text) or [None]
    ]
    assert len(wanted) < sum(len(text.split()) for text in of.texts)
    assert [place(line) for line in of.lines] == wanted
    predicted = json_lines(of.ask("predict", "-q", "--format", "jsonl").stdout)
    assert [place(line) for line in predicted] == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_predict_tells_the_same(corpus, kind):
    of = corpus(kind)
    lines = json_lines(of.ask("predict", *of.options, "--format", "jsonl").stdout)
    rows = table(of.ask("predict", *of.options, "--format", "tsv").stdout)
    wanted = of.wanted(of.lines)
    assert of.wanted(lines) == wanted
    lines = [line for line in lines if line["scores"]]
    for line, row in zip(lines, rows, strict=True):
        own = [each for each in wanted if (each.sequence, each.step) == place(line)]
        for each in own:
            column = "predicted" + (f":{each.output}" if each.output else "")
            predicted = line["predicted"]
            if each.output is not None:
                predicted = predicted.get(each.output)
            assert text(predicted) == row.get(column) == each.predicted
            assert text(line.get("label")) == row.get("label") == each.label


def place(line):
    return line["sequence"], line.get("step")


def by_output(wanted):
    """The predicted classes at each output."""
    found = {}
    for each in wanted:
        if each.predicted is not None:
            found.setdefault(each.output, []).append(each.predicted)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["explain", "predict"])
def test_every_report_counts_it(corpus, kind, command):
    of = corpus(kind)
    wanted = of.wanted(of.lines)
    counts = {output: Counter(classes) for output, classes in by_output(wanted).items()}
    path, options = of.path.with_suffix(".report.json"), of.options[1:]
    steps = of.step if command == "explain" else []
    of.ask(command, *options, *steps, "--report", path, "-o", of.path.with_suffix(".tsv"))
    report = json.loads(path.read_text("utf-8"))
    assert report["predicted"] == dict(counts.get(None, {} if None in of.kind.outputs else counts))
    if of.kind.labelled:
        right = sum(each.right for each in wanted)
        assert (report["labelled"], report["right"]) == (SENTENCES, right)
    text_of = of.ask(command, *options, *steps, "-o", of.path.with_suffix(".tsv")).stderr
    for output, of_output in counts.items():
        line = next(
            line
            for line in text_of.splitlines()
            if re.match(rf"predicted +{f'{output}: ' if output else ''}", line)
        )
        for name, count in of_output.items():
            assert re.search(rf"\b{name}: {count}\b", line)
    if not counts:
        assert not re.search(r"^predicted", text_of, re.MULTILINE)


@pytest.mark.parametrize("form", ["jsonl", "parquet-nested"])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_summarize_confuses_no_other_classes(run, corpus, kind, form):
    of = corpus(kind)
    if form != "jsonl":
        spec_of("pyarrow")
    path = of.path.with_suffix(f".{form}")
    of.explain("--format", form, "-o", path)
    told = json.loads(run("summarize", path, "--format", "json").stdout)["methods"][0]["confusion"]
    found = Counter()
    for cell in told:
        assert cell["right"] == (cell["label"] == cell["predicted"])
        found[text(cell["label"]), text(cell["predicted"])] += cell["explanations"]
    assert found == Counter((each.label, each.predicted) for each in of.wanted(of.lines))


@pytest.mark.parametrize("form", ["jsonl", "parquet-nested", "models"])
@pytest.mark.parametrize("kind", KINDS)
def test_compare_counts_the_changes(run, corpus, kind, form):
    """Of the model, and of another whose scores are moved."""
    of = corpus(kind)
    if form == "parquet-nested":
        spec_of("pyarrow")
    sides, wanted, small = [], [], of.kind.small
    for side in ("a", "b"):
        if side == "b":
            for name in of.kind.small.arrays:
                if name.endswith(".weight"):
                    small.arrays[name] = -small.arrays[name]
            of.model = small.save()
        wanted.append(of.wanted(of.lines))
        sides.append(of.path.with_name(f"{side}.npz" if form == "models" else f"{side}.{form}"))
        if form == "models":
            sides[-1].write_bytes(of.model.read_bytes())
            text = (small.folder / "model.yaml").read_text("utf-8")
            sides[-1].with_suffix(".yaml").write_text(text, "utf-8")
        else:
            of.explain("--format", form, "-o", sides[-1])
    labelled = [option for option in of.options if option == "--labelled"]
    of_input = ["--input", of.path, *of.step, *labelled] if form == "models" else []
    result = run("compare", *sides, *of_input, "--format", "json", "--top", 99)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["predictions"]
    both = [(a, b) for a, b in zip(*wanted, strict=True) if a.predicted is not None]
    changes = Counter((a.predicted, b.predicted) for a, b in both if a.predicted != b.predicted)
    assert (found["compared"], found["different"]) == (len(both), changes.total())
    assert changes or "values" in kind or kind == "a value"
    assert {(each["a"], each["b"]): each["count"] for each in found["changes"]} == changes
    if of.kind.labelled:
        rights = Counter((a.right, b.right) for a, b in both)
        told = found["labelled"]
        names = ("both_right", "only_a_right", "only_b_right", "both_wrong")
        places = ((True, True), (True, False), (False, True), (False, False))
        assert [told[name] for name in names] == [rights[each] for each in places]


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_evaluate_divides_by_it(corpus, kind):
    of = corpus(kind)
    options = ("--labelled", "--methods", "lrp-all", "--draws", 0, "--min-length", 1)
    found = json.loads(of.ask("evaluate", *options, "--format", "json").stdout)
    rights = Counter(each.right for each in of.wanted(of.lines))
    for curves in found["curves"]:
        assert curves["sequences"] == rights[curves["sequences_from"] == "right"]
        if curves["what"] == "deletion":
            accuracy = curves["predicted"]["lrp-all"]["mean"][0]
            assert accuracy == (curves["sequences_from"] == "right")


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_label_may_be_a_name_or_a_number(corpus, kind):
    of = corpus(kind)
    by_name = of.lines
    text = of.path.read_text("utf-8").splitlines()
    numbers = [
        f"{of.kind.classes.index(line.split(chr(9))[0])}\t{line.split(chr(9))[1]}" for line in text
    ]
    of.path.write_text("\n".join(numbers) + "\n", "utf-8")
    assert of.lines == by_name


def test_the_label_of_class_1_alone_names_it_as_well(corpus):
    of = corpus("one score that names class 1")
    by_number = of.lines
    text = re.sub("^1\t", "good\t", of.path.read_text("utf-8"), flags=re.MULTILINE)
    of.path.write_text(text, "utf-8")
    assert of.lines == by_number


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_the_recipe_for_wrong_sentences_finds_those_and_no_others(corpus, kind):
    of = corpus(kind)
    lines = of.lines
    found = [line["sequence"] for line in lines if line["predicted"] != line["label"]]
    assert found == [each.sequence for each in of.wanted(lines) if not each.right]
    assert 0 < len(found) < SENTENCES


def test_labels_are_as_many_as_classes(run, model):
    small = model("one score").small
    sentences = small.write("in.txt", "not bad\n")
    for labels, problem in (
        (
            ["a", "b", "c"],
            "labels: found 3; expected 2, of classes 0 and 1, or 1, of class 1 alone",
        ),
        (["a", "a"], "labels: [a, a] names a class twice"),
        (["0"], "labels: [0] names a class twice"),
    ):
        small.mapping["labels"] = labels
        result = run("explain", small.save(), sentences)
        assert result.exit_code == 3
        assert problem in result.stderr
    for kind in ("a value", "two outputs"):
        small = model(kind).small
        small.mapping["labels"] = ["a", "b"]
        result = run("explain", small.save(), sentences)
        assert result.exit_code == 3
        assert "one for each output" in result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_converted_model_tells_the_same(run, corpus, kind):
    of = corpus(kind)
    lines = of.lines
    converted = of.model.with_name("converted.npz")
    assert run("convert", of.model, converted).exit_code == 0
    of.model = converted
    assert of.lines == lines
