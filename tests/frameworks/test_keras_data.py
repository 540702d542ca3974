"""Text becomes the ids that Keras's own data sets give for it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from models import ids_of

from lstm_lrp_cli.inputs.batching import prepare
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model.model import Input
from lstm_lrp_cli.model.text import Padding

WORDS = {"the": 1, "film": 2, "bad": 3, "not": 4, "good": 5, "dull": 6}
RECIPE = Path(__file__).parents[2] / "docs" / "recipes" / "vocabularies.md"
TEXTS = ("the bad film is not so dull", "bad film", "the film is dull")
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
    small.mapping |= {"vocabulary": "words.json", "tokens": {"offset": 3, "start": 1, "unknown": 2}}
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


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
def test_sequences_are_filled_up_and_cut_as_by_pad_sequences(framework, padding, truncating):
    keras = framework("keras")
    lists = [[1, 2, 3, 4, 5, 6, 7], [8, 9], [3, 1, 2, 4], [5]]
    expected = keras.utils.pad_sequences(lists, 4, padding=padding, truncating=truncating, value=11)
    ours = Padding(padding, 4, 11, truncate=truncating)
    found = prepare(list(map(np.array, lists)), Input(1, padding=ours))
    assert found.inputs.tolist() == expected.ravel().tolist()


def test_and_as_by_text_vectorization(framework):
    """`output_sequence_length` fills up and cuts at the end, as the recipe says."""
    framework("tensorflow")
    keras = framework("keras")
    layer = keras.layers.TextVectorization(output_sequence_length=4)
    layer.adapt(["the bad film is not so dull"])
    ids = [np.asarray(layer([text]))[0] for text in TEXTS]
    whole = keras.layers.TextVectorization(vocabulary=layer.get_vocabulary()[2:])
    uncut = [np.trim_zeros(np.asarray(whole([text]))[0]) for text in TEXTS]
    (padding,) = re.findall(r"^padding: (\{.*length: 30.*\})$", RECIPE.read_text("utf-8"), re.M)
    given = Padding(**{**yaml.safe_load(padding), "length": 4})
    assert prepare(uncut, Input(1, padding=given)).inputs.tolist() == np.concatenate(ids).tolist()


@pytest.mark.parametrize(
    "settings", [{}, {"split": ","}, {"filters": "", "lower": False}, {"split": "--"}]
)
def test_words_are_those_of_keras_tokenizer(framework, small, settings):
    """Keras 3 keeps the class of Keras 2, which most vocabularies of published models come from."""
    framework("keras")
    from keras.src.legacy.preprocessing.text import Tokenizer, text_to_word_sequence

    text = "The film,\u00a0so\u00a0dull\u2003(not bad) is--the\x0bbad\x85film, good\tthe  end"
    tokenizer = Tokenizer(**settings)
    tokenizer.fit_on_texts([text])
    small.arrays["E"] = np.ones((len(tokenizer.word_index) + 1, 3))
    small.write("tokenizer.json", tokenizer.to_json())
    small.mapping["vocabulary"] = "tokenizer.json"
    model = load_model(small.save(), None, np.dtype(np.float64)).model
    assert ids_of(model, text) == tokenizer.texts_to_sequences([text])[0]
    asked = {key: settings[key] for key in ("filters", "lower", "split") if key in settings}
    assert len(ids_of(model, text)) == len(text_to_word_sequence(text, **asked))
