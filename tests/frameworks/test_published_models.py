"""Models that others trained and published load, and agree with their own framework.

They come from PyPI: pip install --no-deps asmscan-bilstm==1.0.0 fin-sentiment==0.1.4
"""

from pathlib import Path

import h5py
import numpy as np
import pytest
from installed import spec_of


def published(package):
    """The folder of an installed package."""
    return Path(next(iter(spec_of(package).submodule_search_locations)))


def test_a_published_checkpoint_with_its_vocabulary_inside(run, framework, tmp_path):
    """fin-sentiment 0.1.4 from PyPI: a three-class LSTM with 131,783 words."""
    model = published("fin_sentiment") / "models" / "sentiment_lstm.pth"
    torch = framework("torch")
    checkpoint = torch.load(model, map_location="cpu", weights_only=True)
    state, vocabulary = checkpoint["model_state_dict"], checkpoint["vocab"]
    lstm = torch.nn.LSTM(128, 128, batch_first=True)
    lstm.load_state_dict(
        {k.removeprefix("lstm."): v for k, v in state.items() if k.startswith("lstm.")}
    )
    sentences = ["stocks rally after strong earnings", "shares fall as xyzzyq warns of losses"]
    scores = []
    with torch.no_grad():
        for sentence in sentences:
            ids = torch.tensor([[vocabulary.get(word, 1) for word in sentence.split()]])
            _, (hidden, _) = lstm(state["embedding.weight"][ids])
            scores.append((hidden[-1] @ state["fc.weight"].T + state["fc.bias"])[0].numpy())
    np.save(tmp_path / "scores.npy", scores)
    (tmp_path / "sentences.txt").write_text("\n".join(sentences) + "\n")
    result = run("check", model, tmp_path / "sentences.txt", "--expected", tmp_path / "scores.npy")
    assert result.exit_code == 0, result.output


@pytest.mark.filterwarnings("default")  # of Keras, about NumPy's and its own past
@pytest.mark.parametrize("number", range(1, 7))
def test_a_published_keras_model_of_protein_letters(run, framework, tmp_path, number):
    """asmscan-bilstm 1.0.0 from PyPI: Keras 2.14, padded behind to 40 letters, without a mask."""
    folder = published("asmscan") / "bilstm" / "resources" / "model" / "cvms"
    keras = framework("keras")

    model = folder / f"bass-model{number}.h5"
    copy = tmp_path / "model.h5"
    copy.write_bytes(model.read_bytes())
    with h5py.File(copy, "r+") as file:  # Keras 3 knows the setting no longer, which is off here
        file.attrs["model_config"] = file.attrs["model_config"].replace('"time_major": false, ', "")
    net = keras.models.load_model(copy, compile=False)
    rng = np.random.default_rng(number)
    sequences = [rng.integers(1, 26, length) for length in (1, 7, 25, 39, 40)]
    padded = np.array([np.pad(ids, (0, 40 - len(ids))) for ids in sequences])
    np.save(tmp_path / "probabilities.npy", net.predict(padded, verbose=0))
    (tmp_path / "ids.txt").write_text("".join(" ".join(map(str, s)) + "\n" for s in sequences))
    (tmp_path / "post.yaml").write_text("padding: {side: post}\n")
    arguments = ("check", model, tmp_path / "ids.txt", "--ids")
    expected = ("--expected", tmp_path / "probabilities.npy")
    result = run(*arguments, *expected, "--mapping", tmp_path / "post.yaml")
    assert result.exit_code == 0, result.output
    assert run(*arguments, *expected).exit_code == 1  # padded in front, Keras's default
