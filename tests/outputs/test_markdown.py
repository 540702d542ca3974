"""Markdown: what people read of each explanation, and text from files that stays text."""

import io
import re

import numpy as np
import pytest
from explained import LABELS, explanation_of, explanations_of, layout_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import force_setattr
from together import lrp_ledger

from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.outputs.markdown import MarkdownWriter, escaped, visible

# Text that is more than text to some reader of Markdown.
HOSTILE = (
    *(
        "<script>alert(1)</script>",
        "</sup>",
        "<!--",
        "&amp;",
        "a|b",
        "|",
        "*",
        "**",
        "_x_",
        "`",
        "``",
    ),
    *(
        "~~s~~",
        "[a](b)",
        "![i](j)",
        "[x]: y",
        "<http://x>",
        "# h",
        "#1",
        "- ",
        "-",
        "+",
        "1.",
        "2)",
    ),
    *("---", "===", "\\", "\\*", "$x$", "a\nb", "\n\n# h", "\t", " ", "", "\x1b[31m", ">"),
)


def page(layout, *blocks):
    file = io.StringIO(newline="")
    writer = MarkdownWriter(file, layout)
    writer.open()
    for block in blocks:
        writer.write(block)
    writer.close()
    return file.getvalue()


def rendered(text):
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def text_of(html):
    """What a reader sees."""
    plain = re.sub(r"<[^>]*>", "", html)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        plain = plain.replace(entity, character)
    return plain


def of_tokens(*tokens, amounts=None):
    sequence = Sequence(0, np.zeros(len(tokens), dtype=np.intp), tokens, id="no 1", gold=1)
    relevance = np.array(amounts) if amounts else np.ones(len(tokens))
    ledger = lrp_ledger(0.75, tokens=0.5, biases=0.25)
    scores = np.array([0.75, 0.5, 0.25])
    return explanation_of(layout_of("token").model, sequence, scores, 0, relevance, ledger)


def test_a_section_has_prediction_tokens_strongest_and_ledger():
    layout = layout_of("token")
    tokens = of_tokens("a", "dull", "but", "kind", "film", amounts=[0.01, 0.5, 0.0, -0.25, 0.02])
    _, section = page(layout, [tokens]).split("\n## ")
    assert section == (
        "Sequence 0 (no 1)\n"
        "\n"
        'predicted **poor**, target **poor**, score **+0.750**, label so "so" (wrong)\n'
        "\n"
        "> a **dull**<sup>+0.50</sup> but *kind*<sup>-0.25</sup> film\n"
        "\n"
        "| most for it | | most against it | |\n"
        "|---|--:|---|--:|\n"
        "| dull | +0.500 | kind | -0.250 |\n"
        "| film | +0.020 | | |\n"
        "| a | +0.010 | | |\n"
        "\n"
        "score +0.750 = tokens +0.500, biases +0.250\n"
    )


def test_a_series_has_a_line_a_feature():
    layout = layout_of("feature")
    sequence = Sequence(3, np.ones((4, 2)), features=("wind", "a_b"))
    relevance = np.array([[0.0, 0.1], [1.0, 0.3], [-0.5, 0.0], [0.1, 0.2]])
    ledger = lrp_ledger(0.5, tokens=1.2)
    found = explanation_of(layout.model, sequence, np.array([0.5, 0, 0]), 0, relevance, ledger)
    section = page(layout, [found]).split("\n## ")[1]
    assert "    wind   +0.600 .+-.\n    a_b    +0.600 .+.+\n" in section
    assert "score +0.500 = steps +1.200" in section


def test_a_series_told_by_steps_alone_has_one_line():
    layout = layout_of("step")
    sequence = Sequence(0, np.ones((3, 3)), features=("x", "y", "z"))
    relevance = np.array([1.0, 0.0, -1.0])
    found = explanation_of(layout.model, sequence, np.ones(3), 0, relevance, None, "gradient")
    assert "    all features   +0.000 +.-\n" in page(layout, [found])


@pytest.mark.parametrize("by_step", [False, True])
def test_every_explanation_has_a_heading_that_tells_it_apart(by_step):
    layout = layout_of("token", by_step=by_step, several=True)
    found = explanations_of(layout)
    text = page(layout, found[:4], found[4:])
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert len(set(headings)) == len(found)
    assert text.count("\nno score\n") == len(layout.methods)


def test_a_block_is_written_the_same_whatever_came_before():
    layout = layout_of("token")
    found = explanations_of(layout)
    alone = page(layout, found[2:]).removeprefix(page(layout))
    assert page(layout, found).endswith(alone)


def test_a_model_and_its_methods_are_told_at_the_top():
    top = page(layout_of("token", several=True))
    assert "- model: m.h5\n" in top
    assert "- method: lrp-all, eps 0.001, bias factor 0; integrated-gradients, steps 50" in top


@pytest.mark.parametrize("text", HOSTILE)
class TestHostileText:
    def test_is_shown_as_text_wherever_it_stands(self, text):
        layout = layout_of("token")
        force_setattr(layout.model, "labels", (text, *LABELS[1:]))
        plain = rendered(page(layout, [of_tokens("word", "b", "c")]))
        found = rendered(page(layout, [of_tokens(text, text, "c")]))
        assert found.count("<p>") == plain.count("<p>")
        assert found.count("<td") == plain.count("<td")
        assert found.count("<h2>") == plain.count("<h2>") == 1
        allowed = (
            r"</?(?:p|h1|h2|ul|li|strong|em|sup|blockquote|table|thead|tbody|tr|t[hd])\b[^>]*>"
        )
        assert "<" not in re.sub(allowed, "", found)

    def test_reads_as_it_was(self, text):
        shown = printable(text).strip()
        assert text_of(rendered(escaped(text))).strip() == shown


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.text(max_size=8) | st.text("*_`[]()<>#|~&$!@-+=.:/\\1 w", max_size=8))
@example("*")
def test_any_token_reads_as_it_was(token):
    shown = token.replace(" ", "␣") if token else '""'
    assert text_of(rendered(f"> {visible(token)} end")) == f"\n{printable(shown)} end\n\n"


@pytest.mark.parametrize("address", ["http://x.y/z", "HTTPS://x.y", "www.x.y"])
def test_an_address_is_no_link(address):
    assert re.search(r"\w(://|www\.)", f"x{escaped(address)}", re.IGNORECASE) is None
