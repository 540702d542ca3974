"""The benchmarks run, and what they hold the engine against computes the same."""

import itertools
import json
import re
import sys
from dataclasses import replace

import choices
import contenders
import gradients
import numpy as np
import page
import per_sequence
import process
import pytest
import run as benchmarks
import scaling
import sentences
import shares
import throughput
import timing
from click.testing import CliRunner
from settings import QUICK
from tables import number, tables
from targets import bounds, judge
from weights import Size, make_model

from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.model.layers import Embedding

SMALL = Size(5, 4)
TINY = replace(
    QUICK,
    repeats=1,
    share=1e-4,
    sizes=((5, 4),),
    directions=(1,),
    dtypes=("float32",),
    threads=(1,),
    forward_batches=(64,),
    gradient_batches=(64,),
    command_tokens=(200, 400),
)
TEXTS = sentences.cut(300)


def scores_and_relevance(model):
    """What the engine finds, sequence by sequence."""
    for explanation in contenders.explain(model, contenders.sequences_of(TEXTS)):
        yield explanation.scores, contenders.relevance_of_tokens(explanation)


def test_the_corpus_is_all_movie_reviews():
    assert len(sentences.sentences()) == 10_605
    assert sum(map(len, sentences.sentences())) == 200_062
    assert len(sentences.vocabulary()) == 27_638


def test_a_longer_corpus_repeats_them(tmp_path):
    written = sentences.write_corpus(tmp_path / "corpus.txt", 450_000)
    lines = (tmp_path / "corpus.txt").read_text("utf-8").splitlines()
    assert 450_000 <= written < 450_100
    assert lines[0] == lines[10_605]


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("linear", [per_sequence.messages, per_sequence.factored])
@pytest.mark.parametrize("bias_factor", [0.0, 1.0])
def test_one_sequence_at_a_time_finds_what_the_engine_finds(
    monkeypatch, linear, directions, bias_factor
):
    monkeypatch.setattr(per_sequence, "BIAS_FACTOR", bias_factor)
    method = METHODS["lrp-all"](Settings(per_sequence.EPS, bias_factor))
    monkeypatch.setattr(contenders, "LRP_ALL", method)
    model = make_model(replace(SMALL, directions=directions), "float64")
    plain = per_sequence.PerSequence(model, linear)
    for words, found in zip(TEXTS, scores_and_relevance(model), strict=True):
        for own, engine in zip(plain.explain(sentences.ids(words)), found, strict=True):
            np.testing.assert_allclose(own, engine, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", ["packed", "equal-length"])
def test_torch_runs_the_same_model(framework, kind, directions):
    framework("torch")
    import torch_peer

    model = make_model(replace(SMALL, directions=directions), "float64")
    batches = torch_peer.batches(kind, [sentences.ids(words) for words in TEXTS], 4)
    scores = np.empty((len(TEXTS), model.classes))
    for batch, found in zip(batches, torch_peer.Peer(model).forward(batches), strict=True):
        scores[batch.numbers] = found.numpy()
    expected = [scores for scores, _ in scores_and_relevance(model)]
    np.testing.assert_allclose(scores, expected, rtol=1e-9)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("kind", ["packed", "equal-length"])
def test_torch_computes_gradient_times_input(framework, kind, directions):
    """Its sum over tokens is how fast the score grows with a factor on all embeddings."""
    framework("torch")
    import torch_peer

    model = make_model(replace(SMALL, directions=directions), "float64")
    batches = torch_peer.batches(kind, [sentences.ids(words) for words in TEXTS], 4)
    peer = torch_peer.Peer(model)
    total = sum(float(found.sum()) for found in peer.gradient_times_input(batches))

    def best_scores(factor):
        scaled = replace(model, embedding=Embedding(model.embedding.weights * factor))
        return np.array([scores.max() for scores, _ in scores_and_relevance(scaled)])

    slope = (best_scores(1 + 1e-6) - best_scores(1 - 1e-6)).sum() / 2e-6
    assert total == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(
    ("method", "of_torch"),
    [("gradient", "squared_gradient"), ("gradient-x-input", "gradient_times_input")],
)
def test_gradient_methods_find_what_torch_finds_on_the_same_batch(
    framework, method, of_torch, directions
):
    framework("torch")
    import torch_peer

    model = make_model(replace(SMALL, directions=directions), "float64")
    made = torch_peer.batches("packed", [sentences.ids(words) for words in TEXTS], len(TEXTS))
    [expected] = getattr(torch_peer.Peer(model), of_torch)(made)
    found = contenders.explain_batch(method, model, contenders.batch_of(model, TEXTS))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_engine_explains_every_token_in_any_number_of_threads(threads):
    model = make_model(SMALL, "float32")
    with contenders.engine(model, contenders.sequences_of(TEXTS), threads) as explain:
        assert explain() == sum(map(len, TEXTS))


@pytest.mark.skipif(not process.PROC.exists(), reason="the system does not tell")
def test_memory_is_that_of_all_processes(tmp_path):
    hold = "held = bytearray(100_000_000); import time; time.sleep(0.3)"
    start = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', {hold!r}])"
    finished = process.run([sys.executable, "-c", f"{hold}; {start}"], tmp_path)
    assert finished.seconds > 0.6
    assert 100 < finished.largest < 150
    assert 200 < finished.peak < 300


def test_a_command_that_fails_is_not_timed(tmp_path):
    with pytest.raises(RuntimeError, match="no such model"):
        process.run([sys.executable, "-c", "raise SystemExit('no such model')"], tmp_path)


@pytest.fixture
def in_a_moment(monkeypatch):
    """Measure small models and short limits."""
    monkeypatch.setattr(scaling, "HIDDEN", (4, 8))
    monkeypatch.setattr(shares, "LARGE_PRODUCT", 64)
    monkeypatch.setattr(shares, "UNCACHED", 2**14)
    monkeypatch.setattr(shares, "FILE_BYTES", 2**10)
    monkeypatch.setattr(shares, "MOMENT", 0.0)
    monkeypatch.setattr(choices, "TIMES", 1)
    monkeypatch.setattr(choices, "TOKENS", (1_000, 1_000))


@pytest.fixture
def without_torch(monkeypatch):
    """As where only the tests are installed."""
    monkeypatch.setattr(throughput, "TORCH", "no_such_package")


def shown_by(capsys, output):
    results = json.loads(output.read_text("utf-8"))
    benchmarks.show(results)
    return results, capsys.readouterr().out


def test_every_part_is_measured_written_and_shown(
    without_torch, in_a_moment, tmp_path, capsys, monkeypatch
):
    output = tmp_path / "results.json"
    parts = ("throughput", "gradients", "command", "series", "scaling", "shares", "choices")
    benchmarks.measure(TINY, parts, "2026-01-31", output)
    results, shown = shown_by(capsys, output)
    assert list(results["parts"]) == list(parts)
    for part, of_part in tables(results).items():
        for table in of_part:
            if table.rows:
                assert table.title in shown, part
    assert "2026-01-31" in shown
    monkeypatch.setattr(page, "RESULTS", output)
    written = page.page()
    # Start-up takes an installed lrp, gradients take torch, and so small a model has no targets,
    # nor bounds of them.
    assert written.count("Not measured yet.") == 4
    assert "| command / engine |" in written
    row = results["parts"]["throughput"]["rows"][0]
    assert set(row["ratios"]) == {"per sequence", "per sequence, vectors"}
    assert [row["tokens"] for row in results["parts"]["command"]["rows"]] == [209, 407]


def test_torch_computes_gradient_times_input_of_series(framework):
    """Its sum is how fast the score grows with a factor on all values."""
    framework("torch")
    import torch_peer

    text = make_model(SMALL, "float64")
    model = replace(text, embedding=None, vocabulary=None)
    values = np.random.default_rng(0).normal(size=(7, 6, SMALL.embedding))
    made = torch_peer.batches("packed", list(values), 4)
    found = list(torch_peer.Peer(model).gradient_times_values(made))
    assert sum(each.numel() for each in found) == values.size

    def best_scores(factor):
        series = contenders.series_of(values * factor)
        return sum(each.scores.max() for each in contenders.explain(model, series, "features"))

    slope = (best_scores(1 + 1e-6) - best_scores(1 - 1e-6)) / 2e-6
    assert sum(float(each.sum()) for each in found) == pytest.approx(slope, rel=1e-5)


def test_torch_is_measured_beside_the_engine(framework, tmp_path, capsys):
    framework("torch")
    output = tmp_path / "results.json"
    benchmarks.measure(TINY, ("throughput", "gradients", "series"), "2026-01-31", output)
    results, shown = shown_by(capsys, output)
    assert "engine / gradient x input" in shown
    assert "Gradients beside PyTorch's" in shown
    assert "series of 8 features" in shown
    for row in results["parts"]["series"]["rows"]:
        assert set(row["ratios"]) == {"command", "gradient x input"}
    rows = results["parts"]["gradients"]["rows"]
    assert {(row["batch"], row["method"]) for row in rows} == set(
        itertools.product(gradients.BATCHES, gradients.METHODS)
    )
    assert re.search("(packed|equal-length), up to 64", shown)


def test_a_part_is_measured_again_without_the_others(without_torch, in_a_moment, tmp_path):
    output = tmp_path / "results.json"
    benchmarks.measure(TINY, ("throughput", "scaling"), "first", output)
    benchmarks.measure(TINY, ("throughput",), "second", output)
    parts = json.loads(output.read_text("utf-8"))["parts"]
    dates = {name: part["date"] for name, part in parts.items()}
    assert dates == {"throughput": "second", "scaling": "first"}


def test_figures_of_another_machine_are_not_mixed_in(tmp_path):
    output = tmp_path / "results.json"
    parts = {"scaling": {"rows": []}}
    output.write_text(json.dumps({"machine": {"cpu": "another"}, "parts": parts, "targets": []}))
    done = CliRunner().invoke(benchmarks.main, ["--only", "shares", "-o", str(output)])
    assert done.exit_code == 1
    assert "another machine" in done.output


def test_rounds_begin_with_another_contender_each():
    order = []
    three = [timing.Contender(name, 1, lambda name=name: order.append(name)) for name in "abc"]
    seconds = timing.in_turn(three, 3)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratios_are_of_the_same_round():
    seconds = {"a": [1.0, 4.0, 2.0], "b": [2.0, 4.0, 8.0]}
    two = [timing.Contender("a", 10, len), timing.Contender("b", 20, len)]
    ratio = timing.ratios("a", timing.rates(two, seconds))["b"]
    assert ratio == {"values": [1.0, 0.5, 2.0], "median": 1.0, "min": 0.5, "max": 2.0}


SETUP = {"embedding": 60, "hidden": 60, "directions": 1, "dtype": "float32", "threads": 1}


def parts_with(forward=2.0, gradient=1.5, of_engine=0.7, beyond=100.0, growth=1.05, version=1.2):
    """What is measured, as far as there are targets for it."""
    own = {"forward": forward, "gradient x input": 9.0, "per sequence": 200.0}
    runs = [
        {
            **SETUP,
            "tokens": tokens,
            "of_engine": {"median": of_engine},
            "memory": {"peak": peak, "beyond": beyond},
        }
        for tokens, peak in ((1_000, 100.0), (4_000, 100.0 * growth))
    ]
    start = {"command": "lrp --version", "yardstick": "import click", "ratio": version}
    rows = {
        "throughput": [{**SETUP, "ratios": {name: {"median": own[name]} for name in own}}],
        "gradients": [
            {**SETUP, "batch": "one", "method": "gradient", "ratio": {"median": gradient}}
        ],
        "command": runs,
        "start-up": [start],
    }
    return {name: {"rows": each} for name, each in rows.items()}


def test_targets_are_met():
    judged = judge(parts_with())
    assert len(judged) == 8
    assert all(each["met"] for each in judged)


def test_the_engine_has_targets_in_float32_alone():
    parts = parts_with()
    parts["throughput"]["rows"].append(parts["throughput"]["rows"][0] | {"dtype": "float64"})
    assert judge(parts) == judge(parts_with())


@pytest.mark.parametrize(
    ("missed", "target"),
    [
        ({"forward": 0.99}, "engine / PyTorch's forward"),
        ({"gradient": 0.99}, "gradient / PyTorch's"),
        ({"of_engine": 0.59}, "command / engine"),
        ({"beyond": 201.0}, "peak memory beyond"),
        ({"growth": 1.11}, "peak memory, 4,000 / 1,000 tokens"),
        ({"version": 1.31}, "lrp --version / import click"),
    ],
)
def test_a_target_is_missed(missed, target):
    [judged] = [each for each in judge(parts_with(**missed)) if not each["met"]]
    assert judged["target"].startswith(target)


def test_what_a_target_allows_stands_beside_what_the_parts_alone_take():
    parts = parts_with()
    peers = {"engine": 1_000_000, "forward": 500_000, "gradient x input": 250_000}
    [row] = parts["throughput"]["rows"]
    del row["ratios"]["per sequence"]
    row["contenders"] = {
        name: {"tokens_per_second": {"median": rate}} for name, rate in peers.items()
    }
    assert bounds(parts) == []
    taken = {"engine": 0.9, "exp": 0.3, "tanh": 0.4, "reading": 0.1}
    shared = {
        **SETUP,
        "microseconds_per_token": {name: {"median": value} for name, value in taken.items()},
        "rest": 0.2,
        "parts": [
            {"part": "exp", "limit": "exp", "of_limit": 0.5},
            {"part": "tanh", "limit": "tanh", "of_limit": 1.0},
            {"part": "reading", "limit": "read", "of_limit": 0.01},
        ],
    }
    forward, gradient = bounds(parts | {"shares": {"rows": [shared]}})
    assert forward == pytest.approx(
        {
            "target": "engine / PyTorch's forward, (60, 60) float32, 1 thread",
            "engine": 1.0,
            "allowed": 2.0,
            "parts_alone": 0.7,
            "parts_at_limits": 0.55,
        }
    )
    assert gradient["allowed"] == pytest.approx(4 / 3)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.01234, "0.0123"), (1.0, "1.00"), (99.96, "100."), (1_234_567.0, "1,230,000")],
)
def test_numbers_are_shown_in_three_digits(value, shown):
    assert number(value) == shown
