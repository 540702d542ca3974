"""Text becomes the ids that Keras's own data sets give for it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from models import ids_of

from lstm_lrp_cli.loading.load import load_model

WORDS = {"the": 1, "film": 2, "bad": 3, "not": 4, "good": 5, "dull": 6}
RECIPE = Path(__file__).parents[2] / "docs" / "recipes" / "vocabularies.md"
REVIEW = "the bad film not good dull the"


@pytest.mark.parametrize("num_words", [7, 8, 10, None])
@pytest.mark.parametrize("data_set", ["imdb", "reuters"])
def test_ids_are_those_of_load_data(framework, small, monkeypatch, data_set, num_words):
    """The file that Keras would download is made by hand, of one text; the rest is Keras's."""
    framework("keras")
    import importlib

    keras_data = importlib.import_module(f"keras.src.datasets.{data_set}")
    text = np.empty(1, dtype=object)
    text[0] = [WORDS[word] for word in REVIEW.split()]
    arrays = dict.fromkeys(("x", "x_train", "x_test"), text)
    arrays |= dict.fromkeys(("y", "y_train", "y_test"), np.zeros(1, dtype=int))
    np.savez(small.folder / "data.npz", **arrays)
    monkeypatch.setattr(keras_data, "get_file", lambda **_: str(small.folder / "data.npz"))
    # Keras takes the highest id for num_words where there is none, and so loses that word.
    rows = num_words or max(WORDS.values()) + 4
    (train, _), (test, _) = keras_data.load_data(num_words=rows)
    (expected,) = [*train, *test][:1]

    small.arrays["E"] = np.ones((rows, 3))
    small.write("words.json", json.dumps(WORDS))
    small.mapping |= {
        "vocabulary": "words.json",
        "tokens": {"offset": 3, "start": 1, "unknown": 2},
    }
    model = load_model(small.save(), None, np.dtype(np.float64)).model
    assert ids_of(model, REVIEW) == list(expected)


def test_text_vectorization_by_the_recipe(framework, small):
    framework("tensorflow")
    keras = framework("keras")
    text = "The BAD, bad film!? (Not) so-so: it's [dull] \\ na\u00efve a_b c^d `e` {f} ~ <3 $5"
    layer = keras.layers.TextVectorization()
    layer.adapt(["the bad film not soso its dull na\u00efve"])
    words = layer.get_vocabulary()
    small.write("words.json", json.dumps(words))
    (tokens,) = re.findall(r"^```yaml\n(tokens:.*?)^```$", RECIPE.read_text("utf-8"), re.M | re.S)
    small.arrays["E"] = np.ones((len(words), 3))
    small.mapping |= {"vocabulary": "words.json", **yaml.safe_load(tokens)}
    model = load_model(small.save(), None, np.dtype(np.float64)).model
    expected = np.asarray(layer([text]))[0].tolist()
    assert ids_of(model, text) == expected
