"""Pages of models with one score, with values, and with several outputs: what is found there."""

import pytest
from models import json_lines
from several import INPUTS, STEPS, TEXTS, SeveralInputs

SENTENCES = ["the film is not bad", "bad film", "not not the film", "is", "film film is bad"]


def numbers(page):
    return [int(text) for text in page.locator(".row .number").all_inner_texts()]


def choose(page, label, option):
    page.get_by_label(label, exact=True).select_option(option)


@pytest.fixture
def lines(run):
    return lambda *options: json_lines(run("explain", *options, "-q", "--format", "jsonl").stdout)


@pytest.fixture
def single(small):
    """The small model with one score, above 0 for some sentences, and labelled input."""
    small.arrays |= {"V": 3 * small.arrays["V"][:1], "c": -0.57 * small.arrays["c"][:1] ** 0}
    small.dense["activation"] = "sigmoid"
    labelled = (f"{k % 2}\t{text}\n" for k, text in enumerate(SENTENCES))
    return lambda: (small.save(), small.write("in.txt", "".join(labelled)), "--labelled")


@pytest.mark.parametrize("labels", [None, ["good"], ["poor", "good"]])
def test_filters_find_the_classes_of_a_single_score(reports, lines, small, single, labels):
    if labels:
        small.mapping["labels"] = labels
    options = single()
    names = labels if labels and len(labels) == 2 else ["class 0", "class 1"]
    told = lines(*options)
    page = reports.open(*options)
    for place, name in enumerate(names):
        choose(page, "Predicted", name)
        found = [line["sequence"] for line in told if (line["scores"][0] > 0) == place]
        assert 0 < len(found) < len(SENTENCES)
        assert numbers(page) == found
        assert set(page.locator(".verdict .predicted").all_inner_texts()) == {name}
    choose(page, "Predicted", "any class")
    choose(page, "Outcome", "wrong")
    wrong = [line["sequence"] for line in told if line["predicted"] != line["label"]]
    assert numbers(page) == wrong
    true = names[wrong[0] % 2]
    assert page.locator(".wrong").first.inner_text() == f"✗ wrong, true: {true}"
    choose(page, "Outcome", "any")
    choose(page, "True class", names[1])
    assert numbers(page) == [1, 3]
    choose(page, "True class", "any class")
    choose(page, "Sort by", "margin")
    choose(page, "Order", "ascending")
    margins = {line["sequence"]: abs(line["scores"][0]) for line in told}
    assert numbers(page) == sorted(margins, key=margins.get)


def test_class_0_is_shown_with_its_own_score(reports, lines, single):
    options = (*single(), "--target", "0")
    page = reports.open(*options)
    line = lines(*options)[0]
    shown = page.locator(".row").first.locator(".scores").inner_text().replace("\u2212", "-")
    assert shown.split()[:2] == ["class", "0"]
    assert float(shown.split()[2]) == pytest.approx(-line["scores"][0], abs=2e-3)


def test_values_are_not_predicted_classes(reports, small):
    small.mapping["task"] = "regression"
    text = small.write("in.txt", "\n".join(SENTENCES) + "\n")
    page = reports.open(small.save(), text)
    assert page.locator(".verdict .predicted").count() == 0
    for name in ("Predicted", "True class", "Outcome"):
        assert not page.get_by_label(name, exact=True).is_visible()
    assert "Predicted" not in page.locator(".facts").inner_text()


def test_two_outputs_are_told_apart(reports, small, lines):
    """Of which one has the classes 0 and 1, and the other those of the scores 1 to 3."""
    embedding, lstm, dense = small.mapping["layers"]
    small.arrays["V2"] = 3 * small.arrays["V"][:1]
    likely = {"weights": "V2", "layout": "classes_by_features", "activation": "sigmoid"}
    small.mapping["layers"] = [
        embedding,
        {"name": "state", **lstm},
        {"name": "class", **dense, "from": "state"},
        {"name": "likely", "from": "state", "dense": likely},
    ]
    small.mapping["outputs"] = ["likely", "class"]
    options = (small.save(), small.write("in.txt", "\n".join(SENTENCES) + "\n"))
    page = reports.open(*options)
    told = [line for line in lines(*options) if line["output"] == "likely"]
    assert page.get_by_label("Explained", exact=True).locator("option").all_inner_texts() == [
        "predicted, class",
        "likely: class 1",
    ]
    choose(page, "Explained", "likely: class 1")
    for number in (0, 1):
        choose(page, "Predicted", f"likely: class {number}")
        assert numbers(page) == [line["sequence"] for line in told if line["predicted"] == number]
    facts = page.locator(".facts").inner_text()
    assert "Predicted likely" in facts
    assert "Predicted class" in facts


def test_every_input_stands_under_its_name(reports, lines, tmp_path):
    several = SeveralInputs(tmp_path)
    options = (several.save(), several.lines())
    page = reports.open(*options)
    row = page.locator(".row").first
    assert row.locator(".input-name").all_inner_texts() == list(INPUTS)
    words = row.locator(".input .token").all_inner_texts()
    assert words[:4] == ["the", "film", "is", "bad"]
    # One vector has no course: its features stand there as words.
    assert [word.split(" = ")[0] for word in words[4:]] == [f"feature_{k}" for k in range(3)]
    assert row.locator(".input .series").count() == 1
    told = lines(*options)[0]["relevance"]
    row.locator(".input .token").nth(2).hover()
    assert f"{told['review'][2]:.4f}".lstrip("-") in page.locator("#note").inner_text()
    row.locator(".input .token").nth(4).hover()
    note = page.locator("#note").inner_text()
    assert "feature_0" in note
    assert f"{told['person'][0][0]:.4f}".lstrip("-") in note
    row.locator(".input .series svg").first.hover()
    assert "feature_0" in page.locator("#note").inner_text()
    row.locator(".table-toggle").click()
    assert row.locator("table").count() == 3
    page.locator("#query").fill("quite")
    page.wait_for_selector(".row:only-child")
    page.locator("#query").fill("")
    page.wait_for_selector(".row:nth-child(6)")
    choose(page, "Sort by", "length")
    pairs = zip(TEXTS, STEPS, strict=True)
    lengths = [len(text.split()) + steps for text, steps in pairs]
    longest = max(range(6), key=lengths.__getitem__)
    assert numbers(page)[0] == longest


class TestDifferences:
    """`--target A-B`: the difference stands before the scores, and is what is told of elsewhere."""

    @pytest.fixture
    def labelled(self, small):
        small.mapping["labels"] = ["poor", "fair", "good"]
        return lambda: (small.save(), small.write("in.txt", "\n".join(SENTENCES) + "\n"))

    def test_both_classes_and_the_difference_are_seen(self, reports, lines, labelled):
        options = (*labelled(), "--target", "predicted-second")
        told = lines(*options)
        page = reports.open(*options)
        for line, row in zip(told, page.locator(".row").all(), strict=True):
            explained = row.locator(".score.explained")
            name = line["target"].replace("-", " − ")
            score = f"{line['ledger']['score']:+.3f}".replace("-", "−")
            assert explained.inner_text().split() == [*f"{name} {score}".split(), "explained"]
            assert row.locator(".score").count() == 4
        choose(page, "Sort by", "score")
        by_score = sorted(told, key=lambda line: -line["ledger"]["score"])
        assert numbers(page) == [line["sequence"] for line in by_score]
        choose(page, "Sort by", "residual")
        assert sorted(numbers(page)) == list(range(len(SENTENCES)))
        assert not reports.faults

    def test_of_two_classes_with_one_score(self, reports, lines, small, single):
        small.mapping["labels"] = ["poor", "good"]
        options = (*single(), "--target", "poor-good")
        told = lines(*options)
        page = reports.open(*options)
        for line, row in zip(told, page.locator(".row").all(), strict=True):
            assert line["ledger"]["score"] == -2 * line["scores"][0]
            shown = f"{line['ledger']['score']:+.3f}".replace("-", "−")
            assert f"poor − good {shown}" in row.locator(".score.explained").inner_text()
