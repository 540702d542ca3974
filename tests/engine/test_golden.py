"""The engine computes the numbers of an independent implementation (see golden/lrp/README.md)."""

from pathlib import Path

import numpy as np
import plain_lrp
import pytest
from together import cut, explain_together, make_model, run_together

from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import Dense, Embedding, Lstm, LstmCell
from lstm_lrp_cli.model.model import Model

GOLDEN = Path(__file__).parents[1] / "golden" / "lrp"
FILES = ("small", "medium", "saturated")
SETTINGS = [(eps, factor) for eps in (0.001, 0.01) for factor in (0, 1)]
FROM_THE_FILES_GATE_ORDER = [0, 2, 1, 3]  # i, g, f, o to i, f, g, o


class Golden:
    """One file: its model, its sequences, and its numbers by name."""

    def __init__(self, name: str) -> None:
        with np.load(GOLDEN / f"{name}.npz") as file:
            self.numbers = {key: file[key] for key in file.files}
        of_sequences = sum(key.endswith("/ids") for key in self.numbers)
        self.sequences = [self.numbers[f"seq{k}/ids"] for k in range(of_sequences)]
        self.model = self._model()

    def of_relevance(
        self, sequence: int, target: int, eps: float, factor: int, name: str
    ) -> Floats:
        return self.numbers[f"seq{sequence}/class{target}/eps{eps}/bias_factor{factor}/{name}"]

    def _model(self) -> Model:
        output = np.hstack([self.numbers["Why_Left"], self.numbers["Why_Right"]])
        return make_model(
            Embedding(self.numbers["E"]),
            Lstm((self._cell("Left"), self._cell("Right"))),
            Dense(output, None),
            classes=len(output),
        )

    def _cell(self, direction: str) -> LstmCell:
        def by_gate(weights: Floats) -> Floats:
            return weights.reshape(4, len(weights) // 4, *weights.shape[1:])[
                FROM_THE_FILES_GATE_ORDER
            ]

        return LstmCell(
            by_gate(self.numbers[f"Wxh_{direction}"]),
            by_gate(self.numbers[f"Whh_{direction}"]),
            by_gate(self.numbers[f"bxh_{direction}"] + self.numbers[f"bhh_{direction}"]),
            backward=direction == "Right",
        )


@pytest.fixture(scope="module", params=FILES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


def assert_golden(found: Floats | float, expected: Floats) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


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
        for k, found in zip(order, cut(of_inputs, trace.packing), strict=True):
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
