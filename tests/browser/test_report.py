"""The page of `lrp explain` as people use it: with a mouse, with keys, and by what is read out."""

import itertools
import json
import random
import re

import numpy as np
import pytest
from browser import show
from models import KERAS, PYTORCH, SAMPLES, WEATHER, json_lines

SENTENCES = (KERAS.model, KERAS.sequences.with_name("labelled.txt"), "--labelled")
SERIES = (WEATHER.model, WEATHER.sequences)


@pytest.fixture
def lines(run):
    """What JSON lines tell of the same run."""
    return lambda *options: json_lines(run("explain", *options, "-q", "--format", "jsonl").stdout)


def numbers(page):
    """The numbers of the sequences that are there, in their order."""
    return [int(text) for text in page.locator(".row .number").all_inner_texts()]


def choose(page, label, option):
    page.get_by_label(label, exact=True).select_option(option)


def search(page, text, count):
    page.get_by_label("Search", exact=True).fill(text)
    page.get_by_role("status").filter(has_text=count).wait_for()


def count(page):
    return page.locator("#count").inner_text()


def as_number(text):
    return float(text.replace("\u2212", "-"))


def told(text, name):
    """The number behind a name, in what is told of a token or a step."""
    return as_number(re.search(rf"{name} ([^\s,]+)", text)[1])


class TestFinding:
    def test_all_sequences_are_there_in_the_order_of_the_input(self, reports):
        page = reports.open(*SENTENCES)
        assert count(page) == "100 sequences"
        shown = numbers(page)
        assert shown == list(range(len(shown)))
        assert len(shown) >= 20

    def test_search_finds_words_ids_and_numbers(self, reports, lines):
        page = reports.open(*SENTENCES)
        found = [line["sequence"] for line in lines(*SENTENCES) if "riveting" in line["tokens"]]
        search(page, "Riveting", f"{len(found)} of 100 sequences")
        assert numbers(page) == found
        assert page.locator(".token.hit").first.inner_text() == "riveting"
        search(page, "huppert a great", "1 of 100 sequences")
        assert numbers(page) == [1]
        search(page, "no such words", "0 of 100 sequences")
        assert numbers(page) == []
        search(page, "#17", "1 of 100 sequences")
        assert numbers(page) == [17]
        search(page, "", "100 sequences")

    def test_filters_leave_what_they_name(self, reports, lines):
        page = reports.open(*SENTENCES)
        choose(page, "Predicted", "negative")
        choose(page, "Outcome", "wrong")
        found = [
            line["sequence"]
            for line in lines(*SENTENCES)
            if line["predicted"] == "negative" and line["label"] == "positive"
        ]
        assert count(page) == f"{len(found)} of 100 sequences"
        assert numbers(page) == found
        assert page.locator(".wrong").first.inner_text() == "✗ wrong, true: positive"
        choose(page, "True class", "negative")
        assert count(page) == "0 of 100 sequences"
        choose(page, "Outcome", "right")
        assert set(page.locator(".verdict .predicted").all_inner_texts()) == {"negative"}

    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("score", lambda line: -line["ledger"]["score"]),
            ("length", lambda line: -len(line["tokens"])),
            ("margin", lambda line: abs(line["scores"][0] - line["scores"][1])),
            ("strongest", lambda line: -np.abs(line["relevance"]).max()),
        ],
    )
    def test_sorting_goes_by_what_it_says(self, reports, lines, name, key):
        page = reports.open(*SENTENCES)
        choose(page, "Sort by", name)
        wanted = sorted((round(key(line), 5), line["sequence"]) for line in lines(*SENTENCES))
        shown = numbers(page)
        keys = {number: value for value, number in wanted}
        assert [keys[number] for number in shown] == pytest.approx(
            [value for value, _ in wanted[: len(shown)]], abs=2e-5
        )
        first = page.get_by_label("Order", exact=True).input_value()
        choose(page, "Order", "" if first else "descending")
        assert keys[numbers(page)[0]] == pytest.approx(wanted[-1][0], abs=2e-5)

    def test_the_worst_residual_stands_first(self, reports, lines):
        options = (*SENTENCES, "--method", "integrated-gradients", "--steps", "3")
        page = reports.open(*options)
        choose(page, "Sort by", "residual")

        def relative(line):
            score, *shares, residual = line["ledger"].values()
            return abs(residual) / max(abs(score), sum(map(abs, shares)))

        residuals = {line["sequence"]: relative(line) for line in lines(*options)}
        shown = [residuals[number] for number in numbers(page)]
        assert shown[0] == max(residuals.values())
        assert shown == sorted(shown, reverse=True)


class TestSentences:
    def test_tint_bar_and_number_tell_sign_and_size(self, reports, lines):
        page = reports.open(*SENTENCES)
        relevance = lines(*SENTENCES)[0]["relevance"]
        tokens = page.locator(".row").first.locator(".token")
        strongest = int(np.argmax(np.abs(relevance)))
        for place, amount in enumerate(relevance):
            kind = tokens.nth(place).get_attribute("class")
            if abs(amount) >= 0.05 * abs(relevance[strongest]):
                assert ("for" in kind, "against" in kind) == (amount > 0, amount < 0)
        style = "e => getComputedStyle(e)"
        shadow = f"{style}.boxShadow"
        assert "4px" in tokens.nth(strongest).evaluate(shadow)
        tokens.nth(strongest).hover()
        note = page.locator("#note")
        found = told(note.inner_text(), "relevance")
        assert found == pytest.approx(relevance[strongest], 1e-5)
        page.mouse.move(0, 0)
        assert note.is_hidden()

    def test_arrow_keys_move_in_a_sentence_and_tab_leaves_it(self, reports):
        page = reports.open(*SENTENCES)
        tokens = page.locator(".row").first.get_by_role("option")
        tokens.first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        focused = page.locator(":focus")
        assert focused.inner_text() == tokens.nth(2).inner_text()
        assert focused.get_attribute("aria-label").startswith(f"{tokens.nth(2).inner_text()} +")
        assert "position 2" in page.locator("#note").inner_text()
        page.keyboard.press("End")
        assert focused.inner_text() == tokens.last.inner_text()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Home")
        assert focused.inner_text() == tokens.first.inner_text()
        page.keyboard.press("Tab")
        assert focused.inner_text() == "Table"
        assert page.locator("#note").is_hidden()

    def test_a_table_tells_the_same(self, reports, lines):
        page = reports.open(*SENTENCES)
        row = page.locator(".row").first
        row.get_by_role("button", name="Table of sequence 0").press("Enter")
        cells = row.locator("tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        line = lines(*SENTENCES)[0]
        assert [cell[1] for cell in cells] == line["tokens"]
        found = [as_number(cell[2]) for cell in cells]
        np.testing.assert_allclose(found, line["relevance"], rtol=5.1e-6)
        assert page.locator(":focus").get_attribute("aria-expanded") == "true"

    def test_a_scale_of_all_together_makes_sentences_comparable(self, reports, lines):
        page = reports.open(*SENTENCES)
        choose(page, "Colour scale", "all together")
        amounts = [np.abs(line["relevance"]).max() for line in lines(*SENTENCES)]
        sizes = (
            page.locator(".row")
            .first.locator(".token")
            .evaluate_all("all => all.map(each => Number(each.style.getPropertyValue('--size')))")
        )
        assert max(sizes) == pytest.approx(amounts[0] / max(amounts), abs=1e-3)

    def test_the_ledger_is_a_bar_and_words(self, reports, lines):
        page = reports.open(*SENTENCES)
        ledger = lines(*SENTENCES)[0]["ledger"]
        words = page.locator(".ledger").first.inner_text()
        assert f"tokens +{ledger['tokens']:.3f}" in " ".join(words.split())
        widths = (
            page.locator(".ledger-bar")
            .first.locator("rect")
            .evaluate_all("bars => bars.map(bar => bar.width.baseVal.value)")
        )
        assert widths[0] / widths[2] == pytest.approx(
            abs(ledger["tokens"] / ledger["biases"]), rel=0.05
        )

    def test_text_from_files_is_shown_as_text(self, reports, small):
        script = "<script>document.title='stolen'</script>"
        tokens = [script, '"it\'s"', "&amp;", "<b>", "", "a\nb", "\u202eright"]
        small.mapping["tokens"] = {"unknown": "the"}
        small.mapping["labels"] = ["<i>first</i>", "second", "third"]
        document = {"id": script, "tokens": tokens}
        text = small.write(f"{script.replace('/', '')}.jsonl", json.dumps(document) + "\n")
        page = reports.open(small.save(), text)
        assert page.locator(".tokens .token").all_inner_texts() == [
            *tokens[:4], "(empty)", "a\\u000ab", "\\u202eright",
        ]  # fmt: skip
        assert page.locator(".row .id").inner_text() == script
        assert "<i>first</i>" in page.locator(".scores").inner_text()
        assert "stolen" in page.title()  # the name of the file, in which it is text
        assert page.title() != "stolen"
        assert page.locator("main script, main i").count() == 0


class TestSwitches:
    def test_the_explained_class_and_the_method_can_be_changed(self, reports, lines):
        sample = (PYTORCH.model, PYTORCH.sequences.with_name("labelled.txt"), "--labelled")
        options = (*sample, "--target", "all", "--method", "lrp-all,gradient-x-input")
        page = reports.open(*options)
        first = [line for line in lines(*options) if line["sequence"] == 0]
        label = page.locator(".row").first.get_by_role("option").first

        def told(target, method):
            [amount] = [
                line["relevance"][0]
                for line in first
                if (line["target"], line["method"]) == (target, method)
            ]
            return f"{abs(amount):.3f}"

        assert told(first[0]["predicted"], "lrp-all") in label.get_attribute("aria-label")
        choose(page, "Explained", "neutral")
        assert told("neutral", "lrp-all") in label.get_attribute("aria-label")
        choose(page, "Method", "gradient-x-input")
        assert told("neutral", "gradient-x-input") in label.get_attribute("aria-label")
        assert page.locator(".ledger").count() == 0
        choose(page, "Explained", "true class")
        assert told(first[0]["label"], "gradient-x-input") in label.get_attribute("aria-label")
        assert count(page) == "100 sequences"

    def test_there_is_no_switch_where_there_is_no_choice(self, reports):
        page = reports.open(KERAS.model, KERAS.sequences)
        for name in ("Method", "Explained", "True class", "Outcome"):
            assert page.get_by_label(name, exact=True).is_hidden()

    def test_the_step_whose_score_is_explained_can_be_changed(self, reports, small, lines):
        small.lstm["returns"] = "sequence"
        text = small.write("in.txt", "not bad the film\n\nbad film\n")
        options = (small.save(), text, "--step", "all")
        page = reports.open(*options)
        assert count(page) == "3 sequences"
        row = page.locator(".row").first
        assert row.locator("output").inner_text() == "3"
        row.get_by_role("slider").press("Home")
        assert row.locator("output").inner_text() == "0"
        first = lines(*options)[0]
        token = row.get_by_role("option").first.get_attribute("aria-label")
        assert f"{abs(first['relevance'][0]):.3f}" in token
        assert "no score" in page.locator(".row").nth(1).inner_text()

    def test_the_outputs_of_a_regressor_are_chosen_by_name(self, reports, small, lines):
        small.mapping["labels"] = ["height", "width", "depth"]
        small.mapping["task"] = "regression"
        options = (small.save(), small.write("in.txt", "not bad the film\n"))
        page = reports.open(*options)
        assert page.get_by_label("Explained", exact=True).locator("option").all_inner_texts() == [
            "height", "width", "depth",
        ]  # fmt: skip
        choose(page, "Explained", "depth")
        assert page.locator(".scores .explained").inner_text().startswith("depth")
        assert page.get_by_label("Predicted", exact=True).is_hidden()

    @pytest.mark.parametrize("system", ["light", "dark"])
    def test_dark_and_light_are_as_the_system_or_as_chosen(self, reports, system):
        page = reports.open(*SENTENCES, color_scheme=system)
        backgrounds = {}
        for theme in ("", "light", "dark"):
            choose(page, "Appearance", theme)
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            backgrounds[theme] = sum(map(int, colour.removeprefix("rgb(")[:-1].split(",")))
        assert backgrounds[""] == backgrounds[system]
        assert backgrounds["light"] > 600 > 200 > backgrounds["dark"]

    def test_values_stand_in_original_units_beside_the_models(self, reports, small, lines):
        small.mapping["output_scaling"] = {"minus": [10.0, 20.0, -30.0], "divide": 4.0}
        options = (small.save(), small.write("in.txt", "not bad the film\n"))
        page = reports.open(*options)
        assert "1 of relevance is 4 in original units" in page.locator(".facts").inner_text()
        shown = page.locator(".row .scores .original").all_inner_texts()
        found = [as_number(text.removeprefix("original ")) for text in shown]
        np.testing.assert_allclose(found, lines(*options)[0]["original"], rtol=1e-4)


class TestSeries:
    def test_every_channel_is_a_line_and_the_heat_map_has_all(self, reports):
        page = reports.open(*SERIES)
        row = page.locator(".row").first
        assert row.locator(".channel-plot .line").count() == 4
        assert row.locator(".heat-labels span").all_inner_texts() == [
            "precipitation", "temp_max", "temp_min", "wind",
        ]  # fmt: skip
        assert row.locator(".heat-map .cell.for").count() > 0
        assert row.locator(".heat-map .bar.against").get_attribute("d")

    def test_the_pointer_and_the_arrow_keys_tell_numbers(self, reports, lines):
        page = reports.open(*SERIES)
        line = lines(*SERIES)[0]
        plots = page.locator(".series").first
        box = plots.locator("svg").nth(1).bounding_box()
        page.mouse.move(box["x"] + box["width"] * 2.5 / 28, box["y"] + 10)
        note = page.locator("#note")
        assert "temp_max" in note.inner_text()
        assert told(note.inner_text(), "relevance") == pytest.approx(line["relevance"][2][1], 1e-5)
        page.mouse.move(0, 0)
        assert note.is_hidden()
        plots.focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"):
            page.keyboard.press(key)
        spoken = page.locator("#spoken").inner_text()
        assert spoken.startswith("temp_min, ")
        assert told(spoken, "relevance") == pytest.approx(line["relevance"][1][2], 1e-5)
        assert told(spoken, "value") == pytest.approx(line["values"][1][2], 1e-5)
        assert spoken.endswith("step 1")

    def test_dates_stand_on_the_axis_and_in_notes_and_table(self, reports):
        table = SAMPLES / "data" / "seattle-weather.csv"
        page = reports.open(WEATHER.model, table, "--window", 28, "--stride", 1400)
        ticks = page.locator(".row").first.locator(".step-axis span")
        told = ticks.all_inner_texts()
        assert told[:2] == ["2012/01/01", "2012/01/06"]
        boxes = [ticks.nth(place).bounding_box() for place in range(len(told))]
        for before, box in itertools.pairwise(boxes):
            assert before["x"] + before["width"] < box["x"]
        plots = page.locator(".series").first
        plots.focus()
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        assert page.locator("#spoken").inner_text().endswith("step 1, 2012/01/02")
        page.get_by_role("button", name="Table of sequence 0").click()
        row = page.locator(".row tbody tr").nth(3).locator("th, td").all_inner_texts()
        assert row[:3] == ["3", "2012/01/04", "+20.3"]

    def test_a_table_has_values_and_relevance(self, reports, lines):
        page = reports.open(*SERIES)
        page.get_by_role("button", name="Table of sequence 0").click()
        line = lines(*SERIES)[0]
        cells = page.locator(".row tbody tr").nth(3).locator("td").all_inner_texts()
        found = [as_number(cell) for cell in cells]
        wanted = np.stack([line["values"][3], line["relevance"][3]], axis=1).ravel()
        np.testing.assert_allclose(found, wanted, rtol=5.1e-6)

    def test_whole_steps_shade_every_channel_alike(self, reports):
        page = reports.open(*SERIES, "--method", "omission", "--by", "step")
        row = page.locator(".row").first
        assert row.locator(".heat-labels span").all_inner_texts() == ["step"]
        shades = row.locator(".channel-plot .bar.for").evaluate_all(
            "all => all.map(e => e.getAttribute('d'))"
        )
        assert len(shades) == 4
        assert len(set(shades)) == 1

    def test_of_many_channels_the_strongest_are_drawn_first(self, reports, small):
        small.take_numbers()
        rng = np.random.default_rng(3)
        small.arrays["W"] = rng.standard_normal((8, 20))
        np.save(small.folder / "in.npy", rng.standard_normal((2, 30, 20)))
        page = reports.open(small.save(), small.folder / "in.npy")
        row = page.locator(".row").first
        assert row.locator(".channel-plot").count() == 12
        assert row.locator(".heat-labels span").count() == 20
        row.get_by_role("button", name="Show all 20 channels").click()
        assert row.locator(".channel-plot").count() == 20


class TestAccessibility:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize(
        "arguments",
        [
            (*SENTENCES, "--target", "all", "--method", "lrp-all,occlusion"),
            (*SERIES, "--method", "lrp-all,gradient"),
        ],
        ids=["sentences", "series"],
    )
    def test_axe_finds_no_fault(self, reports, theme, arguments):
        from axe_playwright_python.sync_playwright import Axe

        page = reports.open(*arguments, color_scheme=theme)
        page.locator("summary").click()
        page.get_by_role("button", name="Table of sequence 0").click()
        found = Axe().run(page).response
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
        # Its tints are among what was measured.
        assert not [each for each in found["incomplete"] if each["id"] == "color-contrast"]
        assert len(found["passes"]) > 30

    def test_a_small_screen_needs_no_scrolling_sideways(self, reports):
        for arguments in (SENTENCES, SERIES):
            page = reports.open(*arguments, viewport={"width": 360, "height": 700})
            assert page.evaluate("document.documentElement.scrollWidth") <= 360

    def test_what_is_printed_has_all_sentences_and_no_controls(self, reports):
        page = reports.open(*SENTENCES)
        assert page.locator(".row").count() < 100
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        assert page.locator(".row").count() == 100
        assert page.locator("#controls").is_hidden()
        assert page.locator(".accounts table").is_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.pdf().startswith(b"%PDF")


class TestThousands:
    @pytest.fixture
    def corpus(self, tmp_path):
        """5,000 labelled sentences."""
        lines = SENTENCES[1].read_text("utf-8").splitlines()
        rng = random.Random(0)
        path = tmp_path / "corpus.txt"
        chosen = [line for _ in range(50) for line in rng.sample(lines, len(lines))]
        path.write_text("".join(f"{line}\n" for line in chosen), "utf-8")
        return KERAS.model, path, "--labelled"

    def test_5000_sentences_are_there_within_3_seconds(self, reports, corpus):
        """The limit is what was promised; it takes a fifth of that."""
        path = reports.write(*corpus)
        page = reports.page()
        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_selector("html[data-ready]", timeout=3_000)
        assert count(page) == "5,000 sequences"

    def test_only_what_is_seen_is_there(self, reports, corpus):
        page = reports.page()
        show(page, reports.write(*corpus))
        assert page.locator(".row").count() <= 100
        page.keyboard.press("End")
        page.locator(".row .number", has_text="4999").wait_for()
        assert page.locator(".row").count() <= 150
        assert page.locator(".row").last.get_attribute("aria-posinset") == "5000"
        assert page.locator(".row").last.get_attribute("aria-setsize") == "5000"
        page.keyboard.press("Home")
        page.locator(".row .number").get_by_text("0", exact=True).wait_for()

    def test_a_focused_sentence_stays_while_others_go(self, reports, corpus):
        page = reports.page()
        show(page, reports.write(*corpus))
        token = page.locator(".row").first.get_by_role("option").nth(3)
        token.focus()
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.locator(".row .number", has_text="4999").wait_for()
        assert page.evaluate("document.activeElement.matches('.token')")


class TestMaskedSteps:
    """They have no tint, and are told from what has a relevance of 0."""

    def test_of_a_sentence(self, reports, small):
        small.mapping["padding"] = {"masked": True, "value": 0}
        small.arrays["E"][3] = 0.0
        page = reports.open(small.save(), small.write("in.txt", "film not the bad\n"))
        told = page.locator(".tokens .token").evaluate_all(
            "all => all.map(each => [each.ariaLabel, each.classList.contains('missing')])"
        )
        assert told[1:3] == [["not 0", False], ["the masked", True]]
        page.locator(".tokens .token").nth(2).hover()
        assert page.locator("#note").inner_text().split("\n") == ["the", "masked", "position 2"]
        page.get_by_role("button", name="Table of sequence 0").click()
        rows = page.locator("tbody tr").all_inner_texts()
        assert [row.split() for row in rows if "the" in row] == [["2", "the", "masked"]]
        assert page.locator(".legend .missing").inner_text() == "masked"
        assert "3 tokens, 1 more masked" in page.locator(".facts").inner_text()

    def test_of_a_series(self, reports, small):
        small.mapping["layers"].pop(0)
        del small.mapping["vocabulary"]
        small.mapping["padding"] = {"masked": True, "value": 0}
        series = np.arange(1.0, 13.0).reshape(4, 3)
        series[2] = 0.0
        np.save(small.folder / "x.npy", series)
        page = reports.open(small.save(), small.folder / "x.npy")
        drawn = page.locator(".channel-plot .cell.missing").evaluate_all(
            "all => all.map(each => each.getAttribute('d'))"
        )
        assert drawn == ["M2 0h1v44h-1z"] * 3
        plots = page.get_by_role("application")
        assert "3 steps (1 more masked) of 3 features" in plots.get_attribute("aria-label")
        plots.focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        assert page.locator("#spoken").inner_text() == "feature_0, masked, value 0, step 2"

    def test_have_no_place_in_the_legend_where_there_are_none(self, reports):
        assert reports.open(*SENTENCES).locator(".legend .missing").count() == 0
