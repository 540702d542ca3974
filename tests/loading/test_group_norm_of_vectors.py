"""Group normalization of one vector a sequence, which has no steps to take together."""

import numpy as np
import pytest
from models import json_lines


@pytest.mark.parametrize("groups", [1, 2])
def test_is_over_the_units_of_each_group(run, small, groups):
    """As Keras's GroupNormalization of (batch, units)."""
    rng = np.random.default_rng(3)
    shapes = {"W": (16, 3), "U": (16, 4), "b": (16,), "V": (3, 4), "k": (4,), "o": (4,)}
    small.arrays |= {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    embedding, lstm, dense = small.mapping["layers"]
    group_norm = {"groups": groups, "scale": "k", "offset": "o", "epsilon": 0.001}
    plain, text = [embedding, lstm, dense], small.write("in.txt", "not bad\nthe film is\n")

    def scores(layers):
        small.mapping["layers"] = layers
        result = run("predict", small.save(), text, "--format", "jsonl", "-q")
        assert result.exit_code == 0, result.stderr
        return np.array([each["scores"] for each in json_lines(result.stdout)])

    # What the LSTM gives, by scores that are its units.
    weights = small.arrays["V"], small.arrays["c"]
    small.arrays |= {"V": np.eye(4), "c": np.zeros(4)}
    parts = scores(plain).reshape(2, groups, -1)
    small.arrays["V"], small.arrays["c"] = weights
    deviation = np.sqrt(parts.var(axis=2, keepdims=True) + 0.001)
    normal = ((parts - parts.mean(axis=2, keepdims=True)) / deviation).reshape(2, 4)
    expected = (normal * small.arrays["k"] + small.arrays["o"]) @ weights[0].T + weights[1]
    found = scores([embedding, lstm, {"group_norm": group_norm}, dense])
    np.testing.assert_allclose(found, expected, rtol=1e-10)
