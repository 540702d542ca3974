"""The engine computes the numbers of an independent implementation (see golden/lrp/README.md)."""

import numpy as np
import plain_lrp
import pytest
from golden import FILES, Golden, assert_golden
from together import cut, explain_together, run_together

from lstm_lrp_cli.engine.rules import LrpRule

SETTINGS = [(eps, factor) for eps in (0.001, 0.01) for factor in (0, 1)]


@pytest.fixture(scope="module", params=FILES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


def test_the_files_hold_nothing_that_these_tests_leave_out(golden: Golden) -> None:
    weights = {"E"} | {
        f"{kind}_{direction}"
        for kind in ("Wxh", "Whh", "bxh", "bhh", "Why")
        for direction in ("Left", "Right")
    }
    of_sequences, of_relevance, gradients = set(), set(), set()
    for k in range(len(golden.sequences)):
        of_sequences |= {f"seq{k}/ids", f"seq{k}/scores"}
        for target in range(golden.model.classes):
            gradients.add(f"seq{k}/class{target}/grad")
            for eps, factor in SETTINGS:
                under = f"seq{k}/class{target}/eps{eps}/bias_factor{factor}"
                of_relevance |= {f"{under}/{name}" for name in ("Rx", "Rx_rev", "R_rest")}
    assert set(golden.numbers) == weights | of_sequences | of_relevance | gradients


def test_scores(golden: Golden) -> None:
    trace, order = run_together(golden.model, golden.sequences)
    for place, k in enumerate(order):
        assert_golden(trace.scores[place], golden.numbers[f"seq{k}/scores"])


@pytest.mark.parametrize(("eps", "factor"), SETTINGS)
def test_relevance_of_every_dimension_and_of_the_initial_states(
    golden: Golden, eps: float, factor: int
) -> None:
    for target in range(golden.model.classes):
        targets = [target] * len(golden.sequences)
        rule = LrpRule(eps, factor)
        explained = explain_together(golden.model, golden.sequences, targets, rule)
        for k, of_sequence in enumerate(explained):
            rx, rx_rev, rest = (
                golden.of_relevance(k, target, eps, factor, name)
                for name in ("Rx", "Rx_rev", "R_rest")
            )
            assert_golden(of_sequence.relevance, rx + rx_rev)
            assert_golden(of_sequence.ledger["initial_state"], rest)


@pytest.mark.parametrize(("eps", "factor"), SETTINGS)
def test_relevance_of_tokens_as_a_whole(golden: Golden, eps: float, factor: int) -> None:
    rule = LrpRule(eps, factor)
    for target in range(golden.model.classes):
        targets = [target] * len(golden.sequences)
        explained = explain_together(golden.model, golden.sequences, targets, rule, reach="steps")
        for k, of_sequence in enumerate(explained):
            rx, rx_rev, rest = (
                golden.of_relevance(k, target, eps, factor, name)
                for name in ("Rx", "Rx_rev", "R_rest")
            )
            assert_golden(of_sequence.relevance, (rx + rx_rev).sum(axis=1))
            assert_golden(of_sequence.ledger["initial_state"], rest)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize(("eps", "factor"), SETTINGS)
def test_relevance_through_each_direction_alone(
    golden: Golden, eps: float, factor: int, direction: str
) -> None:
    """Relevance is linear in what comes from above: with half of it gone, one direction is left."""
    rule = LrpRule(eps, factor)
    trace, order = run_together(golden.model, golden.sequences)
    lstm, dense = trace.records
    hidden = golden.model.layers[1].output_size // 2
    for target in range(golden.model.classes):
        of_scores = np.zeros_like(trace.scores)
        of_scores[:, target] = trace.scores[:, target]
        [of_hidden], _ = dense.relevance(of_scores, rule)
        other = slice(hidden, None) if direction == "forward" else slice(hidden)
        of_hidden[:, other] = 0.0
        [of_inputs], _ = lstm.relevance(of_hidden, rule)
        name = "Rx" if direction == "forward" else "Rx_rev"
        for k, found in zip(order, cut(of_inputs, trace.packings[0]), strict=True):
            assert_golden(found, golden.of_relevance(k, target, eps, factor, name))


@pytest.mark.parametrize(("eps", "factor"), SETTINGS)
@pytest.mark.parametrize("file", ["small", "saturated"])
def test_the_plain_version_computes_them_too(file: str, eps: float, factor: int) -> None:
    golden = Golden(file)
    for k, ids in enumerate(golden.sequences):
        for target in range(golden.model.classes):
            plain = plain_lrp.explain(golden.model, ids, target, eps=eps, bias_factor=factor)
            rx, rx_rev, rest = (
                golden.of_relevance(k, target, eps, factor, name)
                for name in ("Rx", "Rx_rev", "R_rest")
            )
            assert_golden(plain.scores, golden.numbers[f"seq{k}/scores"])
            assert_golden(plain.relevance, rx + rx_rev)
            assert_golden(plain.initial_state, rest)
