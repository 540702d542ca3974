"""The benchmarks run, and what they hold the engine against computes the same."""

import dataclasses
import json
import sys

import contenders
import numpy as np
import page
import parts
import process
import pytest
import run as benchmarks
import timing
import workload
from click.testing import CliRunner
from msgspec.structs import replace
from workload import QUICK, Setup

from lstm_lrp_cli.model.model import Input

TINY = dataclasses.replace(
    QUICK, share=1e-4, sizes=((5, 4),), dtypes=("float32",), threads=(1,), command_tokens=(200, 400)
)
WORDS = contenders.sequences_of(workload.cut(300))
SERIES = contenders.series_of(np.random.default_rng(0).normal(size=(7, 6, 5)))


@pytest.fixture(params=[1, 2])
def model(request):
    return Setup(5, 4, directions=request.param, dtype="float64").model()


@pytest.mark.parametrize("kind", ["packed", "equal-length"])
def test_torch_finds_the_same(framework, kind, model):
    rnn = framework("torch").nn.utils.rnn
    import torch_peer

    def compare(run, sequences, expected):
        batches = torch_peer.batches(kind, [each.inputs for each in sequences], 4)
        for batch, found in zip(batches, run(batches), strict=True):
            if run.__name__ == "forward":
                each = found
            elif kind == "packed":
                padded, lengths = rnn.pad_packed_sequence(rnn.PackedSequence(found, batch.sizes))
                each = [padded[:length, place] for place, length in enumerate(lengths)]
            else:
                each = found.unbind(dim=1)
            for number, values in zip(batch.numbers, each, strict=True):
                np.testing.assert_allclose(values, expected[number], rtol=1e-9, atol=1e-14)

    own = list(contenders.explain(model, WORDS, method="gradient-x-input"))
    peer = torch_peer.Peer(model)
    compare(peer.forward, WORDS, [each.scores for each in own])
    compare(peer.gradient_times_input, WORDS, [each.relevance_of_steps for each in own])
    numeric = replace(model, inputs=(Input(model.only_input.size),))
    own = list(contenders.explain(numeric, SERIES, finest=True, method="gradient-x-input"))
    run = torch_peer.Peer(numeric).gradient_times_values
    compare(run, SERIES, [each.relevance for each in own])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_engine_explains_every_token_in_any_number_of_threads(threads, model):
    with contenders.engine(model, WORDS, threads) as explain:
        assert explain() == sum(map(len, WORDS))


@pytest.mark.skipif(not process.PROC.exists(), reason="the system does not tell")
def test_memory_is_that_of_all_processes(tmp_path):
    hold = "held = bytearray(100_000_000); import time; time.sleep(0.3)"
    start = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', {hold!r}])"
    seconds, memory = process.run([sys.executable, "-c", f"{hold}; {start}"], tmp_path)
    assert seconds > 0.6
    assert 200 < memory < 300


def test_a_command_that_fails_is_not_timed(tmp_path):
    with pytest.raises(RuntimeError, match="no such model"):
        process.run([sys.executable, "-c", "raise SystemExit('no such model')"], tmp_path)


def measured(output, names, date):
    benchmarks.measure(TINY, names, date, output)
    return json.loads(output.read_text("utf-8"))


@pytest.mark.parametrize("torch", [True, False])
def test_every_part_is_measured(request, torch, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "LRP", "true")  # which tests need not have installed
    if torch:
        request.getfixturevalue("framework")("torch")
    else:
        monkeypatch.setattr(parts, "TORCH", "no_such_package")
    output = tmp_path / "results.json"
    results = measured(output, tuple(benchmarks.PARTS), "2026-01-31")
    assert [row["tokens"] for row in results["parts"]["command"]["rows"]] == [209, 407, 209]
    for name in ("throughput", "series"):
        for row in results["parts"][name]["rows"]:
            assert ("gradient x input" in row["ratios"]) == torch
    monkeypatch.setattr(page, "RESULTS", output)
    written = page.page()
    assert "2026-01-31" in written
    assert all(table in written for table in page.shown(results).values())


def test_a_part_is_measured_again_without_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "LRP", "true")
    output = tmp_path / "results.json"
    measured(output, ("command", "start-up"), "first")
    again = measured(output, ("command",), "second")["parts"]
    assert [again[name]["date"] for name in ("command", "start-up")] == ["second", "first"]
    output.write_text(json.dumps({"machine": {"cpu": "another"}, "parts": {}}))
    done = CliRunner().invoke(benchmarks.main, ["--only", "start-up", "-o", str(output)])
    assert done.exit_code == 1
    assert "another machine" in done.output


def test_rounds_begin_with_another_contender_each():
    order = []
    three = [timing.Contender(name, 1, lambda name=name: order.append(name)) for name in "abc"]
    seconds = timing.in_turn(three, 3)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratios_are_of_the_same_round():
    ratios = timing.ratios([10.0, 2.5, 5.0], [10.0, 5.0, 2.5])
    assert timing.spread(ratios) == {"median": 1.0, "min": 0.5, "max": 2.0}
