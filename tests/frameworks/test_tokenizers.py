"""Text becomes the ids that tokenizers, sentencepiece, Keras and PyTorch give, of real reviews."""

import io
import pickle

import numpy as np
import pytest
from models import SAMPLES

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.tokens import SKIPPED, Tokenizer
from lstm_lrp_cli.loading.load import load_model


@pytest.fixture(scope="module")
def texts():
    lines = (SAMPLES / "data" / "movie_reviews.tsv").read_text("utf-8").split("\n")
    reviews = [line.split("\t")[2] for line in lines if line][::12]
    odd = [
        "",
        " ",
        "Ünïcödé — naïve café",
        "漢字 and kana かな",
        "😀 emoji 👍🏽",
        "a\u00a0b\u2003c\ttab",
    ]
    return [*reviews, *odd, "[CLS] [UNK] <unk> </s> ##s", "x" * 300]


@pytest.fixture
def given(small):
    """Check what texts are run with, of a vocabulary in a folder, against the library's ids."""

    def check(vocabulary, size, texts, expected, **tokens):
        small.arrays["E"] = np.zeros((size, 3))
        small.mapping |= {"vocabulary": vocabulary, "tokens": tokens}
        tokenizer = Tokenizer(load_model(small.save(), None, np.dtype("f8")).model.only_input)
        found = tokenizer.of_tokens([tokenizer.cut(text) for text in texts], "texts")
        for text, each, ids in zip(texts, found, expected, strict=True):
            assert each.ids[each.ids != SKIPPED].tolist() == list(ids), text
        return found

    return check


def word_level(library):
    made = library.Tokenizer(library.models.WordLevel(unk_token="[UNK]"))
    made.normalizer = library.normalizers.Lowercase()
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]"]
    return made, library.trainers.WordLevelTrainer(vocab_size=2000, special_tokens=special)


def bpe(library):
    made = library.Tokenizer(library.models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    trainer = library.trainers.BpeTrainer(
        vocab_size=800, special_tokens=["<pad>", "<unk>"], limit_alphabet=40, show_progress=False
    )
    return made, trainer


def bytes_of_words(library):
    made = library.Tokenizer(library.models.BPE())
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel()
    return made, library.trainers.BpeTrainer(vocab_size=500, show_progress=False)


def unigram(library):
    made = library.Tokenizer(library.models.Unigram())
    made.normalizer = library.normalizers.NFKC()
    made.pre_tokenizer = library.pre_tokenizers.Metaspace()
    trainer = library.trainers.UnigramTrainer(
        vocab_size=400, unk_token="<unk>", special_tokens=["<pad>", "<unk>"], show_progress=False
    )
    return made, trainer


@pytest.mark.parametrize("make", [word_level, bpe, bytes_of_words, unigram])
def test_tokenizers(framework, small, given, texts, make):
    library = framework("tokenizers")
    made, trainer = make(library)
    made.train_from_iterator(texts[:500], trainer)
    ids = [made.encode(text).ids for text in texts]
    # Texts are filled up and cut by the mapping's padding, which shows what is cut off.
    made.enable_truncation(6)
    made.enable_padding(length=6)
    made.save(str(small.folder / "tokenizer.json"))
    given("tokenizer.json", made.get_vocab_size(), texts, ids)


def test_a_tokenizer_in_a_pickle(framework, small, given, texts):
    made, trainer = word_level(framework("tokenizers"))
    made.train_from_iterator(texts[:500], trainer)
    (small.folder / "tokenizer.pkl").write_bytes(pickle.dumps({"tokenizer": made, "length": 5}))
    ids = [made.encode(text).ids for text in texts]
    given("tokenizer.pkl", made.get_vocab_size(), texts, ids)


@pytest.mark.parametrize("lowercase", [True, False])
def test_berts_list_of_tokens(framework, small, given, texts, lowercase):
    library = framework("tokenizers")
    made = library.BertWordPieceTokenizer(lowercase=lowercase)
    made.train_from_iterator(texts[:500], vocab_size=1000, limit_alphabet=60, show_progress=False)
    made.save_model(str(small.folder), "bert")
    made = library.BertWordPieceTokenizer(str(small.folder / "bert-vocab.txt"), lowercase=lowercase)
    alone = [made.encode(text, add_special_tokens=False).ids for text in texts]
    given("bert-vocab.txt", made.get_vocab_size(), texts, alone)
    around = [made.encode(text).ids for text in texts if text.strip()]
    some = [text for text in texts if text.strip()]
    given("bert-vocab.txt", made.get_vocab_size(), some, around, special=True)


@pytest.mark.parametrize("kind", ["unigram", "bpe", "char", "word", "bytes"])
def test_sentencepiece(framework, small, given, texts, kind):
    library = framework("sentencepiece")
    written = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(texts[:500]),
        model_writer=written,
        vocab_size=500,
        hard_vocab_limit=False,
        model_type="unigram" if kind == "bytes" else kind,
        byte_fallback=kind == "bytes",
        minloglevel=2,
    )
    small.write("spm.model", written.getvalue())
    made = library.SentencePieceProcessor(model_proto=written.getvalue())
    ids, size = [made.encode(text) for text in texts], made.vocab_size()
    given("spm.model", size, texts, ids)
    small.write("spm.pkl", pickle.dumps(made))
    given("spm.pkl", size, texts, ids)
    changed = library.SentencePieceProcessor(model_proto=written.getvalue(), add_bos=True)
    small.write("spm.pkl", pickle.dumps(changed))
    with pytest.raises(UnusableInput, match=r"whose add_bos is set; expected the \.model"):
        given("spm.pkl", size, texts, ids)
    shifted = [[number + 1 for number in each] for each in ids]
    given("spm.model", size + 1, texts, shifted, offset=1)
    around = [[1, *each, 2] if each else [] for each in ids]
    given("spm.model", size, texts, around, start="<s>", end="</s>")


class Vocabulary:
    def __init__(self, tokens):
        self.token2index = {token: number for number, token in enumerate(tokens)}
        self.index2token = dict(enumerate(tokens))
        self.unk_token = tokens[-1]


@pytest.mark.parametrize("key", ["vocab", "of_words"])
def test_an_object_in_a_checkpoint(framework, small, key):
    """Under a usual name it is found; under another it is named by its path."""
    torch = framework("torch")

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(3, 2)
            self.lstm = torch.nn.LSTM(2, 2)
            self.fc = torch.nn.Linear(2, 2)

    state, held = Classifier().state_dict(), {key: Vocabulary(["a", "b", "?"]), "epoch": 3}
    torch.save({"model_state_dict": state, **held}, small.folder / "m.pt")
    mapping = None
    if key != "vocab":
        mapping = small.write("m.yaml", f"format: 1\nvocabulary: {key}\n")
    model = load_model(small.folder / "m.pt", mapping, np.dtype("f8"), assume=True).model
    assert model.only_input.vocabulary.ids == {"a": 0, "b": 1, "?": 2}
    assert model.only_input.vocabulary.unknown_id == 2


@pytest.mark.parametrize(
    "settings",
    [{}, {"num_words": 300}, {"num_words": 300, "oov_token": "?"}, {"char_level": True}],
    ids=["all", "some", "unknown", "characters"],
)
def test_keras(framework, small, given, texts, settings):
    framework("keras")
    from keras.src.legacy.preprocessing.text import Tokenizer as KerasTokenizer

    made = KerasTokenizer(**settings)
    made.fit_on_texts(texts[:500])
    (small.folder / "tokenizer.pickle").write_bytes(pickle.dumps(made))
    small.write("tokenizer.json", made.to_json())
    ids, size = made.texts_to_sequences(texts), made.num_words or len(made.word_index) + 1
    of_pickle = given("tokenizer.pickle", size, texts, ids)
    of_json = given("tokenizer.json", size, texts, ids)
    assert [each.tokens for each in of_pickle] == [each.tokens for each in of_json]


@pytest.mark.parametrize("zipped", [True, False])
def test_torch(framework, small, given, texts, zipped):
    torch = framework("torch")
    words = dict.fromkeys(word for text in texts[:500] for word in text.split())
    tokens = ["<pad>", "<unk>", *words]
    known = {token: number for number, token in enumerate(tokens)}
    ids = [[known.get(word, 1) for word in text.split()] for text in texts]
    for held in (tokens, known, {"itos": tokens, "stoi": known}):
        torch.save(held, small.folder / "v.pt", _use_new_zipfile_serialization=zipped)
        given("v.pt", len(tokens), texts, ids)


def test_what_a_library_refuses_names_the_line(framework, run, small):
    library = framework("tokenizers")
    made = library.Tokenizer(library.models.WordLevel({"the": 0, "film": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    made.save(str(small.folder / "t.json"))
    small.mapping |= {"vocabulary": "t.json", "tokens": {"limit": 5}}
    result = run("explain", small.save(), small.write("in.txt", "the film\nthe dull\n"))
    assert result.exit_code == 3
    assert "in.txt: line 2: the vocabulary's tokenizer fails" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_converted_model_cuts_the_same(framework, run, small):
    library = framework("tokenizers")
    made, trainer = word_level(library)
    made.train_from_iterator(["the bad film", "the dull film"], trainer)
    made.save(str(small.folder / "t.json"))
    size = made.get_vocab_size() + 1
    small.arrays["E"] = np.random.default_rng(1).normal(size=(size, 3))
    small.mapping |= {"vocabulary": "t.json", "tokens": {"offset": 1, "end": 1}}
    text = small.write("in.txt", "The film, dull\n")
    before = run("explain", small.save(), text, "--format", "jsonl")
    assert before.exit_code == 0, before.stderr
    result = run("convert", small.path, small.folder / "out.npz")
    assert result.exit_code == 0, result.stderr
    assert (small.folder / "out-tokenizer.json").exists()
    (small.folder / "t.json").unlink()
    after = run("explain", small.folder / "out.npz", text, "--format", "jsonl")
    assert after.stdout == before.stdout
    assert '"tokens":["the","film",",","dull"' in after.stdout.replace(" ", "")
