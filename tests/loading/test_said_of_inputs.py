"""What a mapping says of inputs, of one or of several; it is written out as it was read."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.convert import WRITERS, convert, vocabulary_text
from lstm_lrp_cli.loading.load import LoadedModel, load_model
from lstm_lrp_cli.loading.mapping.given import read_mapping
from lstm_lrp_cli.loading.written import commented, mapping_text
from lstm_lrp_cli.model.model import Model

FLOAT64 = np.dtype(np.float64)


def loaded_of(small) -> LoadedModel:
    return load_model(small.save(), None, FLOAT64)


def converted(model: Model, folder: Path) -> Model:
    """The model, written as plain arrays and loaded again."""
    found = convert(model, "plain")
    with (folder / "plain.npz").open("wb") as file:
        WRITERS["npz"](file, found.arrays)
    for name, ids in found.vocabularies.items():
        (folder / name).write_text(vocabulary_text(ids), "utf-8")
    (folder / "plain.yaml").write_text(commented("A model.", found.document, {}), "utf-8")
    return load_model(folder / "plain.npz", None, FLOAT64).model


def rewritten(loaded: LoadedModel, folder: Path) -> Model:
    """The model by the mapping that `inspect --write-mapping` writes."""
    (folder / "whole.yaml").write_text(mapping_text(loaded, folder), "utf-8")
    return load_model(loaded.contents.path, folder / "whole.yaml", FLOAT64).model


def ids_of(model: Model) -> list[dict[str, int] | None]:
    return [None if each.vocabulary is None else each.vocabulary.ids for each in model.inputs]


def refusal(small) -> str:
    with pytest.raises(UnusableInput) as error:
        loaded_of(small)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.fixture
def texts(small):
    """Two texts with one table of embeddings, `title` and `body`, and a sum of their states."""
    embedding, lstm, dense = small.mapping["layers"]
    small.mapping["layers"] = [
        {"from": "title", **embedding},
        {"name": "of_title", **lstm},
        {"from": "body", "embedding": {"weights": "E"}},
        {"name": "of_body", "lstm": deepcopy(small.lstm)},
        {"merge": "sum", "from": ["of_title", "of_body"]},
        dense,
    ]
    small.mapping["inputs"] = [{"name": "title"}, {"name": "body"}]
    small.vocabulary = "the\nfilm\nis\n"
    small.mapping["tokens"] = {"offset": 1, "limit": 5}
    return small


@pytest.fixture
def mixed(small):
    """A text and a series of numbers, `text` and `series`."""
    embedding, lstm, dense = small.mapping["layers"]
    small.mapping["layers"] = [
        {"from": "text", **embedding},
        {"name": "of_text", **lstm},
        {"name": "of_series", "from": "series", "lstm": deepcopy(small.lstm)},
        {"merge": "sum", "from": ["of_text", "of_series"]},
        dense,
    ]
    small.mapping["inputs"] = [{"name": "text"}, {"name": "series"}]
    return small


@pytest.fixture
def vector(small):
    """One vector a sequence, `person`, the same at each of three steps."""
    _, lstm, dense = small.mapping["layers"]
    del small.mapping["vocabulary"]
    small.mapping["layers"] = [{"repeat": {"steps": 3}}, lstm, dense]
    small.mapping["inputs"] = [{"name": "person", "steps": False}]
    return small


class TestWhatIsSaidOfAll:
    def test_words_are_of_every_text(self, texts):
        ids = {"the": 1, "film": 2, "is": 3}
        assert ids_of(loaded_of(texts).model) == [ids, ids]

    def test_what_an_input_says_itself_wins_key_by_key(self, texts):
        """Its words are its own, and not where they begin: that is said of all."""
        texts.write("other.txt", "bad\nnot\n")
        texts.mapping["inputs"][1] |= {"vocabulary": "other.txt", "tokens": {"lowercase": True}}
        model = loaded_of(texts).model
        assert ids_of(model) == [{"the": 1, "film": 2, "is": 3}, {"bad": 1, "not": 2}]
        assert [each.tokenization.lowercase for each in model.inputs] == [False, True]

    def test_numbers_beside_a_text_have_neither_words_nor_its_padding(self, mixed):
        """Or steps of token 3 would be filled up as numbers 3.0."""
        mixed.mapping["padding"] = {"side": "pre", "length": 6, "value": 3}
        text, series = loaded_of(mixed).model.inputs
        assert text.vocabulary is not None
        assert text.padding.value == 3
        assert series.vocabulary is None
        assert series.padding is None

    def test_numbers_have_the_padding_that_they_say_themselves(self, mixed):
        mixed.mapping["inputs"][1]["padding"] = {"side": "post", "length": 4, "value": -1.5}
        text, series = loaded_of(mixed).model.inputs
        assert text.padding is None
        assert (series.padding.side, series.padding.value) == ("post", -1.5)


class TestRefused:
    def test_words_of_numbers(self, mixed):
        mixed.mapping["inputs"][1]["vocabulary"] = "vocab.txt"
        assert "inputs[1].vocabulary: `series` has no embedding to use it" in refusal(mixed)

    def test_padding_of_one_vector(self, vector):
        vector.mapping["inputs"][0]["padding"] = {"length": 3}
        assert "inputs[0].padding: `person` is one vector" in refusal(vector)

    def test_none(self, small):
        small.mapping["inputs"] = []
        assert "inputs: found none; expected one or more" in refusal(small)

    @pytest.mark.parametrize("second", [{}, {"name": ""}, {"steps": False}])
    def test_one_of_several_without_a_name(self, texts, second):
        texts.mapping["inputs"][1] = second
        assert "inputs[1].name: is missing; expected a name for each of several" in refusal(texts)

    def test_an_embedding_once_more(self, texts):
        texts.mapping["layers"][0]["name"] = "words"
        texts.mapping["layers"][2] = {"from": "body", "same": "words"}
        expected = "layers[2].same: `words` is an embedding; expected `embedding` with the same"
        assert expected in refusal(texts)

    @pytest.mark.parametrize(
        ("inner", "found"),
        [({}, "nothing"), ({"pool": "last", "activation": "relu"}, "pool and activation")],
    )
    def test_a_layer_of_each_that_is_of_no_one_kind(self, small, inner, found):
        each = {"each": {"steps": 2, "layers": [{"reverse": "steps"}, inner]}}
        small.mapping["layers"].insert(1, {"each": {"steps": 4, "layers": [each]}})
        expected = f"layers[1].each.layers[0].each.layers[1]: found {found}; expected one of"
        assert expected in refusal(small)


class TestWrittenOut:
    def test_the_only_input_keeps_its_name(self, small):
        small.mapping["inputs"] = [{"name": "text"}]
        small.mapping["layers"].insert(1, {"name": "words", "activation": "linear", "from": "text"})
        loaded = loaded_of(small)
        for again in (converted(loaded.model, small.folder), rewritten(loaded, small.folder)):
            assert [each.name for each in again.inputs] == ["text"]
            assert ids_of(again) == ids_of(loaded.model)

    def test_one_vector_a_sequence_stays_one(self, vector):
        loaded = loaded_of(vector)
        for again in (converted(loaded.model, vector.folder), rewritten(loaded, vector.folder)):
            [person] = again.inputs
            assert (person.name, person.steps, person.size) == ("person", False, 3)

    def test_words_that_the_only_input_says_itself(self, small):
        del small.mapping["vocabulary"]
        small.vocabulary = "the\nfilm\n"
        own = {"vocabulary": "vocab.txt", "tokens": {"offset": 2, "limit": 5, "lowercase": True}}
        small.mapping["inputs"] = [own]
        loaded = loaded_of(small)
        again = rewritten(loaded, small.folder)
        assert ids_of(again) == [{"the": 2, "film": 3}]
        assert again.inputs[0].tokenization.lowercase

    def test_offsets_of_several(self, texts):
        texts.mapping["inputs"][1]["tokens"] = {"offset": 2, "limit": 5}
        loaded = loaded_of(texts)
        again = rewritten(loaded, texts.folder)
        assert ids_of(again) == [{"the": 1, "film": 2, "is": 3}, {"the": 2, "film": 3, "is": 4}]

    def test_one_of_several_that_has_no_words(self, texts):
        texts.mapping["inputs"][0]["vocabulary"] = None
        loaded = loaded_of(texts)
        assert ids_of(rewritten(loaded, texts.folder)) == [None, {"the": 1, "film": 2, "is": 3}]
        assert ids_of(converted(loaded.model, texts.folder)) == ids_of(loaded.model)

    def test_one_table_of_several_is_written_once(self, texts):
        model = loaded_of(texts).model
        table = model.inputs[0].embedding
        model = replace(model, inputs=tuple(replace(x, embedding=table) for x in model.inputs))
        arrays = convert(model, "plain").arrays
        assert sum(array is table.weights for array in arrays.values()) == 1
        again = converted(model, texts.folder)
        for each in again.inputs:
            np.testing.assert_array_equal(each.embedding.weights, table.weights)

    def test_numbers_beside_a_text(self, mixed):
        mixed.mapping["padding"] = {"side": "pre", "length": 6, "value": 3}
        mixed.mapping["inputs"][1]["padding"] = {"side": "post", "length": 4}
        loaded = loaded_of(mixed)
        for again in (converted(loaded.model, mixed.folder), rewritten(loaded, mixed.folder)):
            assert [each.padding for each in again.inputs] == [
                each.padding for each in loaded.model.inputs
            ]


def test_an_error_names_the_key_inside_an_input(small):
    small.mapping["inputs"] = [{"name": "text", "tokens": {"lowercas": True}}]
    with pytest.raises(UnusableInput, match="did you mean `lowercase`"):
        read_mapping(small.save().with_suffix(".yaml"))
