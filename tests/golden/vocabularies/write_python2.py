"""Writes Keras's Tokenizer as Python 2 pickles it: `python2.7 write_python2.py`.

Python 2.7: keras_preprocessing==1.1.2. It goes on with expected.json, as write.py wrote it.
"""

# ruff: noqa: UP020

import hashlib
import io
import json
import pickle

from keras_preprocessing.text import Tokenizer

with io.open("../../../sample_models/data/movie_reviews.tsv", encoding="utf-8") as file:
    ALL = [line.rstrip("\n").split("\t")[2] for line in file]
with io.open("expected.json", encoding="utf-8") as file:
    expected = json.load(file)
for protocol, settings in ((0, {"num_words": 100}), (2, {"num_words": 100, "oov_token": "?"})):
    tokenizer = Tokenizer(**settings)
    tokenizer.fit_on_texts(ALL[:24])
    name = "keras-python2-" + str(protocol) + ".pickle"
    with io.open(name, "wb") as file:
        pickle.dump(tokenizer, file, protocol=protocol)
    ids = tokenizer.texts_to_sequences(ALL[::10])
    expected[name] = {
        "ids": hashlib.sha256(json.dumps(ids).encode("ascii")).hexdigest(),
        "size": 100,
        "first": ids[0],
        "tokens": {},
    }
lines = [json.dumps(each) + ": " + json.dumps(expected[each]) for each in sorted(expected)]
with io.open("expected.json", "wb") as file:
    file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii"))
