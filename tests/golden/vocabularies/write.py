"""Writes the vocabularies of this folder with the libraries themselves, a few at a time.

`python write.py KIND ...`, each in a Python that has the library:

keras2.1        Python 3.7: keras==2.1.6, theano==1.0.5
preprocessing   any: keras_preprocessing==1.0.9 or 1.1.2
tensorflow      Python 3.11: tensorflow-cpu==2.15.1
keras3          Python 3.11: keras==3.15.1, with a backend
gensim          any: gensim==3.4.0, 3.8.3 or 4.4.0
torchtext       Python 3.8: torch==1.9.1, torchtext==0.10.1, or with torchtext==0.6.0 before it
own             Python 3.8, torch==1.9.1

What it writes is in expected.json: the ids of every tenth movie review, as one number a file.
"""

import hashlib
import json
import pickle
import sys
from collections import Counter, OrderedDict, defaultdict

REVIEWS = "../../../sample_models/data/movie_reviews.tsv"
with open(REVIEWS, encoding="utf-8") as file:
    ALL = [line.rstrip("\n").split("\t")[2] for line in file]
SHORT, TEXTS = ALL[:24], ALL[::10]
WORDS = [text.lower().split() for text in SHORT]
expected = {}


def digest(ids):
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()


def keep(name, ids, **settings):
    """Note the ids that the library gives for all texts, and what the mapping has to say."""
    ids = [[int(number) for number in each] for each in ids]
    size = settings.pop("size", None) or 1 + max(max(each) for each in ids if each)
    expected[name] = {"ids": digest(ids), "size": size, "first": ids[0], "tokens": settings}


def dump(value, name, protocol=2):
    with open(name, "wb") as file:
        pickle.dump(value, file, protocol=protocol)


def tokenizers(make, version, protocols):
    """Keras's, in all of its ways."""
    ways = {
        "words": {},
        "some": {"num_words": 100},
        "oov": {"oov_token": "<OOV>"},
        "some_oov": {"num_words": 100, "oov_token": "<OOV>"},
        "characters": {"char_level": True, "lower": True},
        "split": {"filters": "", "split": "e", "lower": False},
    }
    for place, (way, settings) in enumerate(ways.items()):
        tokenizer = make(**settings)
        tokenizer.fit_on_texts(SHORT)
        name = f"keras-{version}-{way}.pickle"
        dump(tokenizer, name, protocols[place % len(protocols)])
        size = tokenizer.num_words or len(tokenizer.word_index) + 1
        ids = tokenizer.texts_to_sequences(TEXTS)
        keep(name, ids, size=max(size, 1 + max(map(max, filter(None, ids)))))


def looked_up(find, known):
    return [[find(word) for word in text.lower().split() if word in known] for text in TEXTS]


def keras2_1():
    from keras.preprocessing.text import Tokenizer

    tokenizers(Tokenizer, "2.1", [0, 1, 2, 3, 4])


def preprocessing():
    import keras_preprocessing
    from keras_preprocessing.text import Tokenizer

    tokenizers(Tokenizer, f"preprocessing-{keras_preprocessing.__version__}", [4, 3])


def tensorflow():
    from tensorflow.keras.preprocessing.text import Tokenizer

    tokenizers(Tokenizer, "tensorflow-2.15", [5])


def keras3():
    from keras.src.legacy.preprocessing.text import Tokenizer

    tokenizers(Tokenizer, "3", [5])


def gensim():
    import gensim
    from gensim.corpora import Dictionary
    from gensim.models import FastText, Word2Vec

    version = gensim.__version__
    is_old = version < "4"
    vectors = {"size" if is_old else "vector_size": 4}
    model = Word2Vec(WORDS, min_count=1, workers=1, seed=1, **vectors)
    known = model.wv.vocab if is_old else model.wv.key_to_index
    ids = looked_up(lambda word: known[word].index if is_old else known[word], known)
    settings = {"lowercase": True, "skip": True, "size": len(known)}
    model.save(f"gensim-{version}-word2vec.model")
    keep(f"gensim-{version}-word2vec.model", ids, **settings)
    model.wv.save(f"gensim-{version}-vectors.kv")
    keep(f"gensim-{version}-vectors.kv", ids, **settings)
    if version.startswith("4"):
        # Large arrays stand in files of their own, which are not needed.
        model.wv.save("gensim-apart.kv", sep_limit=1)
        keep("gensim-apart.kv", ids, **settings)
        fast = FastText(WORDS, min_count=1, workers=1, seed=1, bucket=10, **vectors)
        fast.save(f"gensim-{version}-fasttext.model")
        found = fast.wv.key_to_index
        keep(
            f"gensim-{version}-fasttext.model",
            looked_up(lambda word: found[word], found),
            **settings,
        )
    words = Dictionary(WORDS)
    words.save(f"gensim-{version}.dictionary")
    keep(
        f"gensim-{version}.dictionary",
        looked_up(lambda word: words.token2id[word], words.token2id),
        **settings,
    )


def torchtext():
    import torch
    import torchtext

    version = torchtext.__version__
    if not version.startswith("0.6"):
        from torchtext.legacy.vocab import Vocab
        from torchtext.vocab import build_vocab_from_iterator

        built = build_vocab_from_iterator(WORDS, specials=["<pad>", "<other>"])
        built.set_default_index(built["<other>"])
        ids = [built(text.lower().split()) for text in TEXTS]
        for name in ("torchtext-0.10.pt", "torchtext-0.10-legacy.pt"):
            torch.save(built, name, _use_new_zipfile_serialization="legacy" not in name)
            keep(name, ids, lowercase=True, size=len(built))
        dump(built, "torchtext-0.10.pkl", 4)
        keep("torchtext-0.10.pkl", ids, lowercase=True, size=len(built))
    else:
        from torchtext.vocab import Vocab
    counts = Counter(word for line in WORDS for word in line)
    old = Vocab(counts, min_freq=1)
    old.stoi["never met"]  # it is known from now on, by the id of unknown words
    size = len(old.itos)
    for name in ("torchtext-%s-vocab.pkl", "torchtext-%s-vocab.pth"):
        name = name % version
        torch.save(old, name) if name.endswith("pth") else dump(old, name)
    ids = [[old.stoi[word] for word in text.lower().split()] for text in TEXTS]
    for name in ("torchtext-%s-vocab.pkl", "torchtext-%s-vocab.pth"):
        keep(name % version, ids, lowercase=True, size=size)


class Vocabulary:
    """As scripts write it."""

    def __init__(self):
        self.word2idx = {}
        self.idx2word = {}
        self.idx = 0

    def add_word(self, word):
        if word not in self.word2idx:
            self.word2idx[word] = self.idx
            self.idx2word[self.idx] = word
            self.idx += 1


class Counted:
    def __init__(self, ids):
        self._token_to_idx = ids
        self._idx_to_token = {number: token for token, number in ids.items()}
        self._unk_token, self.unk_index = "[other]", ids["[other]"]
        self.mask_token = "<MASK>"


class Words(dict):
    pass


def own():
    import torch

    vocabulary = Vocabulary()
    for token in ["<pad>", "<unk>", "[other]", *(word for line in WORDS for word in line)]:
        vocabulary.add_word(token)
    ids = dict(vocabulary.word2idx)
    tokens = list(ids)
    unknown = [[ids.get(word, 1) for word in text.lower().split()] for text in TEXTS]
    grown = defaultdict(lambda: 1, ids)
    grown["never met"] = 1
    grown.default_factory = None
    kept = {
        "own-object.pkl": (vocabulary, 2),
        "own-dict.pkl": (ids, 0),
        "own-dict-1.p": (ids, 1),
        "own-ordered.pkl": (OrderedDict(ids), 3),
        "own-default.pkl": (grown, 4),
        "own-counter.pkl": (Counter(ids), 4),
        "own-subclass.pkl": (Words(ids), 4),
        "own-list.pkl": (tokens, 2),
        "own-turned.pkl": (vocabulary.idx2word, 2),
        "own-pair.pkl": ((ids, vocabulary.idx2word), 4),
        "own-dicts.pkl": ({"word2idx": ids, "idx2word": vocabulary.idx2word, "max_len": 50}, 4),
    }
    for name, (value, protocol) in kept.items():
        dump(value, name, protocol)
        keep(name, unknown, lowercase=True, size=len(ids))
    torch.save(tokens, "own-itos.pth")
    torch.save({"stoi": ids, "itos": tokens}, "own-vocab.pt")
    torch.save(vocabulary, "own-object.pt", _use_new_zipfile_serialization=False)
    for name in ("own-itos.pth", "own-vocab.pt", "own-object.pt"):
        keep(name, unknown, lowercase=True, size=len(ids))
    dump(Counted(ids), "own-private.pkl", 4)
    other = [[ids.get(word, 2) for word in text.lower().split()] for text in TEXTS]
    keep("own-private.pkl", other, lowercase=True, size=len(ids))


if __name__ == "__main__":
    for kind in sys.argv[1:]:
        globals()[kind.replace(".", "_")]()
    try:
        with open("expected.json") as file:
            known = json.load(file)
    except OSError:
        known = {}
    known.update(expected)
    lines = [f"{json.dumps(each)}: {json.dumps(known[each])}" for each in sorted(known)]
    with open("expected.json", "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
