"""A stateful model's sequence is run and explained as one that begins where an earlier one ended.

What is carried is the plain version's; then each sequence is a stateless model's own.
"""

from itertools import chain
from typing import Any, get_args
from unittest.mock import patch

import numpy as np
import plain_lrp
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from made_models import in_precision
from msgspec.structs import replace
from plain_forward import embedded, run
from plain_stateful import as_each_begins
from random_models import Case, stateful
from together import explain_by

from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import TOLERANCES
from lstm_lrp_cli.engine.rules import GateRuleName
from lstm_lrp_cli.explaining import windows as corpus
from lstm_lrp_cli.explaining.explainer import Explainer, detail_of
from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.explaining.prediction import predict_corpus
from lstm_lrp_cli.explaining.question import Question, Step
from lstm_lrp_cli.explaining.windows import Carried
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.layers import Flatten
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm
from lstm_lrp_cli.model.text import Padding

# Of the largest number of an explanation.
TOLERANCE = 1e-9
SHARES = ("tokens", "initial_state", "biases", "stabilizers")

property_test = settings(
    max_examples=9,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # to make an example smaller takes minutes
)
# Of what the plain version makes of large numbers: 0 or 1.
pytestmark = pytest.mark.filterwarnings("ignore:overflow")


def given_sequences(case: Case) -> list[Sequence]:
    kind: Any = case.model.dtype if case.model.only_input.embedding is None else np.intp
    return [Sequence(k, each.astype(kind)) for k, each in enumerate(case.sequences)]


def explained(
    case: Case, method: Method, model: Model | None = None, step: Step = 0
) -> list[Explanation]:
    """All classes of all sequences; where steps have scores, of one, or of all.

    Of the first, that is: what is carried reaches it before anything else does.
    """
    model = model or case.model
    by = detail_of(model, finest=not method.whole_steps)
    explainer = Explainer(model, [method], target=Question("all", step), by=by)
    return [each for each in chain(*explainer.windows(given_sequences(case))) if each.scored]


def models_of(case: Case) -> list[Model]:
    """The stateless model of each sequence; cases in which numbers grow on and on are left out."""
    with np.errstate(over="ignore", invalid="ignore"):
        models = as_each_begins(case.model, case.sequences)
        computed = [
            run(model, embedded(model, sequence))
            for model, sequence in zip(models, case.sequences, strict=True)
        ]
    for each in computed:
        assume(all(np.abs(values).max(initial=0.0) < 100 for values in each.values()))
    return models


def small_batches(draw: st.DrawFn) -> Any:
    """Windows and batches of a few sequences, however many abreast there may be."""
    return patch.multiple(
        corpus,
        BATCH_SEQUENCES=draw(st.integers(1, 4)),
        WINDOW_STEPS=draw(st.sampled_from([1, 7, 2**18])),
    )


def score_of(explanation: Explanation, model: Model) -> int:
    """Which score is explained: that of class 1 is the only one where there are two classes."""
    return 0 if model.binary else explanation.target_number


@pytest.mark.parametrize("gates", get_args(GateRuleName))
@property_test
@given(stateful(), st.data())
def test_lrp_is_that_of_the_plain_version(
    gates: GateRuleName, case: Case, data: st.DataObject
) -> None:
    rule = replace(case.rule, gates=gates)
    models = models_of(case)
    with small_batches(data.draw):
        found = explained(case, Lrp(rule), step="all")
    assert [each.sequence.number for each in found] == sorted(e.sequence.number for e in found)
    for each in found:
        number = each.sequence.number
        plain = plain_lrp.explain(
            models[number],
            case.sequences[number],
            score_of(each, case.model),
            eps=rule.eps,
            bias_factor=rule.bias_factor,
            gates=gates,
            step=each.step,
        )
        shares = np.array([getattr(plain, share) for share in SHARES])
        sizes = [np.abs(plain.scores).max(), np.abs(shares).max()]
        allowed = TOLERANCE * max(*sizes, np.abs(plain.relevance).max(initial=0.0))
        np.testing.assert_allclose(each.scores, plain.scores, rtol=0, atol=allowed)
        np.testing.assert_allclose(each.relevance, plain.relevance, rtol=0, atol=allowed)
        assert each.ledger is not None
        ours = [each.ledger[share] for share in SHARES]
        np.testing.assert_allclose(ours, shares, rtol=0, atol=allowed)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("gates", get_args(GateRuleName))
@property_test
@given(stateful())
def test_the_ledger_closes(gates: GateRuleName, dtype: str, case: Case) -> None:
    """At any bias factor, and where all is given to inputs and initial states."""
    models_of(case)
    model = in_precision(case.model, dtype)
    for rule in (replace(case.rule, gates=gates), replace(case.rule, gates=gates, bias_factor=1.0)):
        for each in explained(case, Lrp(rule), model):
            assert each.ledger is not None
            assert each.ledger.relative_residual < TOLERANCES[np.dtype(dtype)]


@pytest.mark.parametrize(
    "name", [name for name in METHODS if not name.startswith("lrp") and name != "random"]
)
@property_test
@given(stateful())
def test_every_method_explains_a_sequence_in_the_states_in_which_it_begins(
    name: str, case: Case
) -> None:
    """As if these were the model's initial states, of which all methods are proven elsewhere."""
    model = case.model
    if name == "omission":
        assume(not model.by_step and not any(isinstance(e, Flatten) for e in model.layers))
    method = METHODS[name](Settings(steps=2))
    models = models_of(case)
    for each in explained(case, method):
        number = each.sequence.number
        if name == "omission" and len(each.sequence) == 1:
            continue  # without its only step a sequence gives nothing of what is carried to it
        steps = None if each.step is None else [each.step]
        [alone] = explain_by(
            method,
            models[number],
            [case.sequences[number]],
            [score_of(each, model)],
            steps,
            "steps" if method.whole_steps else "features",
        )
        allowed = TOLERANCE * max(1.0, np.abs(alone.relevance).max(initial=0.0))
        np.testing.assert_allclose(each.relevance, alone.relevance, rtol=0, atol=allowed)
        if alone.ledger is not None:
            assert each.ledger is not None
            assert list(each.ledger.shares) == list(alone.ledger.shares)
            if name == "integrated-gradients":
                ours, theirs = each.ledger["baseline"], alone.ledger["baseline"]
                assert ours == pytest.approx(theirs, rel=TOLERANCE, abs=TOLERANCE)


@property_test
@given(stateful(), st.data())
def test_a_run_goes_on_where_it_was_left(case: Case, data: st.DataObject) -> None:
    """Block by block, with what the blocks before left, it is as all at once."""
    models_of(case)
    cut = data.draw(st.integers(0, len(case.sequences)))
    sequences = given_sequences(case)
    [whole] = predict_corpus(case.model, sequences)
    carried = Carried(case.model)
    parts = [
        block.scores
        for some in (sequences[:cut], sequences[cut:])
        for block in predict_corpus(case.model, some, carried)
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole.scores, rtol=1e-9, atol=1e-9)


def counting(batch: int, **settings: Any) -> Model:
    """A cell of one unit that adds its input to what it keeps, and a score that is what it keeps.

    All gates stand open, and nothing goes through tanh.
    """
    from made_models import make_model

    from lstm_lrp_cli.model.layers import Pool
    from lstm_lrp_cli.model.recurrent import LstmCell

    bias = np.array([[40.0], [40.0], [0.0], [40.0]])
    weights = np.zeros((4, 1, 1))
    weights[2] = 1.0
    cell = LstmCell(weights, np.zeros((4, 1, 1)), bias)
    lstm = Lstm((cell,), activation="linear", returns="sequence", stateful=True)
    return make_model(lstm, Pool("last"), classes=1, stateful=batch, **settings)


def scores(model: Model, series: list[list[float]]) -> list[float]:
    sequences = [Sequence(k, np.array(each).reshape(-1, 1)) for k, each in enumerate(series)]
    return np.concatenate([b.scores for b in predict_corpus(model, sequences)])[:, 0].tolist()


class TestByHand:
    def test_a_sequence_begins_where_the_one_a_batch_before_it_ended(self) -> None:
        series = [[1.0], [10.0, 20.0], [2.0, 2.0], [100.0], [3.0]]
        assert scores(counting(1), series) == pytest.approx([1, 31, 35, 135, 138])
        assert scores(counting(2), series) == pytest.approx([1, 30, 5, 130, 8])
        assert scores(counting(3), series) == pytest.approx([1, 30, 4, 101, 33])
        assert scores(counting(9), series) == pytest.approx([1, 30, 4, 100, 3])

    def test_a_sequence_without_steps_passes_on_the_states_that_it_does_not_give(self) -> None:
        model = replace(counting(1), nodes=counting(1).nodes[:1], outputs=(0,))
        lstm = replace(model.nodes[0].layer, returns="last")  # type: ignore[arg-type]
        model = replace(model, nodes=(replace(model.nodes[0], layer=lstm),))
        assert scores(model, [[1.0], [], [2.0]]) == pytest.approx([1, 0, 3])

    def test_padding_that_is_not_masked_is_read_and_masked_steps_are_not(self) -> None:
        padding = Padding("post", 3, 5.0, masked=False)
        assert scores(counting(1, padding=padding), [[1.0], [2.0]]) == pytest.approx([11, 23])
        masked = Padding("post", 0, 5.0, masked=True)
        series = [[1.0, 5.0, 5.0], [5.0, 2.0]]
        assert scores(counting(1, padding=masked), series) == pytest.approx([1, 3])
