"""The five stories: files as people have them, small, and guides that lead from them to proof.

Their commands are run by test_guides.
"""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from lstm_lrp_cli.loading.load import load_model

ROOT = Path(__file__).parents[2]
STORIES = ROOT / "sample_models" / "stories"
GUIDES = ROOT / "docs" / "how-to"
# The folder of each story, and its guide.
STORY_OF = {
    "action-recognition": "action",
    "forecast": "forecast",
    "keras-tokenizer": "imdb",
    "pytorch-vocabulary": "checkpoint",
    "text-vectorization": "text_vectorization",
}
MOST_BYTES, MOST_OF_ALL = 200_000, 600_000


def blocks(guide, kind):
    """The blocks of a guide that are run, or what they print."""
    text = (GUIDES / f"{guide}.md").read_text("utf-8")
    return re.findall(rf"^<!-- {kind} -->\n```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_every_story_has_a_guide():
    folders = {path.name for path in STORIES.iterdir() if path.is_dir()}
    assert folders == set(STORY_OF.values())


def test_files_are_small():
    sizes = {path: path.stat().st_size for path in STORIES.glob("*/*") if path.is_file()}
    assert max(sizes.values()) < MOST_BYTES
    assert sum(sizes.values()) < MOST_OF_ALL


@pytest.mark.parametrize("guide", STORY_OF)
def test_a_guide_leads_from_files_to_an_explanation_in_three_commands(guide):
    taken, *commands = blocks(guide, "checked")
    assert taken.startswith(f"cp -r sample_models/stories/{STORY_OF[guide]} . && cd ")
    named = re.findall(r"^lrp (\w+)", "".join(commands), re.MULTILINE)
    assert "explain" in named[:3]
    first = next(command for command in commands if command.startswith("lrp explain"))
    assert re.search(r" -o \w+\.html$", first.strip())


@pytest.mark.parametrize("guide", STORY_OF)
def test_a_guide_compares_with_the_framework(guide):
    assert any("--expected expected.npy" in command for command in blocks(guide, "checked"))
    told = [
        line
        for printed in blocks(guide, "prints")
        for line in printed.splitlines()
        if re.match(r"│ forward +│", line)
    ]
    assert told
    assert all(re.search(r"│ passed │$", line) for line in told)


def test_the_table_of_reviews_has_what_the_published_one_has():
    text = (STORIES / "imdb" / "IMDB Dataset.csv").read_text("utf-8")
    header, *rows = csv.reader(text.splitlines(keepends=True))
    assert header == ["review", "sentiment"]
    assert {sentiment for _, sentiment in rows} == {"negative", "positive"}
    reviews = [review for review, _ in rows]
    for what in ("<br /><br />", ",", '"', "\n"):
        assert any(what in review for review in reviews), what


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("forecast/model.keras", ["padding"]),
        ("text_vectorization/model.keras", ["padding", "vocabulary"]),
    ],
)
def test_what_a_mapping_takes_away_stays_away_when_it_is_written(run, tmp_path, model, keys):
    written = tmp_path / "written.yaml"
    null = [argument for key in keys for argument in ("--set", f"{key}=null")]
    result = run("inspect", STORIES / model, *null, "--write-mapping", written)
    assert result.exit_code == 0, result.output
    read = load_model(STORIES / model, written, np.dtype(np.float64)).model.only_input
    usual = load_model(STORIES / model, None, np.dtype(np.float64)).model.only_input
    for key in keys:
        assert getattr(read, key) is None
        assert getattr(usual, key) is not None
