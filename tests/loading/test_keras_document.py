"""From what number on Keras counts the calls of a model inside a model."""

from pathlib import Path
from typing import Any

import pytest

from lstm_lrp_cli.loading.keras.document import every_call, needed_calls


def body(kind: str, first: int) -> dict[str, Any]:
    """As Keras 2 writes it: a model that is called twice, and what it gives the second time."""
    inner = {"layers": [], "input_layers": [], "output_layers": []}
    return {
        "layers": [
            *({"class_name": "InputLayer", "config": {"name": name}} for name in "ab"),
            {
                "class_name": kind,
                "config": {"name": "inner", **inner},
                "inbound_nodes": [[["a", 0, 0, {}]], [["b", 0, 0, {}]]],
            },
            {
                "class_name": "Subtract",
                "config": {"name": "less"},
                "inbound_nodes": [[["inner", first, 0, {}], ["inner", first + 1, 0, {}]]],
            },
        ],
        "output_layers": [["less", 0, 0], ["inner", first + 1, 0]],
    }


@pytest.mark.parametrize(
    ("kind", "first"), [("Functional", 1), ("Model", 1), ("Sequential", 1), ("Sequential", 0)]
)
def test_the_call_by_which_a_model_was_built_is_not_in_the_file(kind, first):
    where, given = Path("model.h5"), body(kind, first)
    calls = every_call(where, given)
    assert calls["less", 0].tensors == ((("inner", 0), 0), (("inner", 1), 0))
    order, outputs = needed_calls(where, given, calls)
    assert outputs == [(("less", 0), 0), (("inner", 1), 0)]
    assert set(order) == set(calls)
