"""The table of formats: what it names is there, and naming it imports nothing."""

import subprocess
import sys
from importlib import import_module

import pytest

from lstm_lrp_cli.outputs import ENDINGS, OUTPUTS, PREDICTION_OUTPUTS
from lstm_lrp_cli.outputs.writer import Writer

PLACES = [
    *(each.explanations for each in OUTPUTS.values()),
    *(each.predictions for each in PREDICTION_OUTPUTS.values()),
]


@pytest.mark.parametrize("place", sorted(set(PLACES)))
def test_a_place_is_that_of_a_writer(place):
    if place.startswith("parquet."):
        pytest.importorskip("pyarrow")
    module, name = place.split(".")
    assert issubclass(getattr(import_module(f"lstm_lrp_cli.outputs.{module}"), name), Writer)


def test_no_two_formats_have_one_ending():
    endings = [ending for each in OUTPUTS.values() for ending in each.endings]
    assert sorted(endings) == sorted(ENDINGS)


def test_formats_are_named_without_what_writes_them():
    program = "import sys, lstm_lrp_cli.outputs; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert not {"numpy", "rich", "jinja2", "pyarrow"} & set(done.stdout.split())
