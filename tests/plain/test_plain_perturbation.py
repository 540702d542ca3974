"""The plain perturbations, on numbers worked by hand and on models of every kind."""

import numpy as np
from hypothesis import given, settings
from made_models import make_model
from plain_forward import embedded
from plain_perturbation import feature_occlusion, occlusion, omission
from random_models import Case, cases

from lstm_lrp_cli.model.layers import Dense, Embedding, Flatten, Pool
from lstm_lrp_cli.model.model import Model

property_test = settings(max_examples=25, deadline=None, derandomize=True, database=None)

SERIES = np.array([[1.0, 10.0], [4.0, 20.0]])


def mean_and_bias() -> Model:
    """Mean over steps of the sum of both features, plus 7."""
    return make_model(Pool("mean"), Dense(np.array([[1.0, 1.0]]), np.array([7.0])), classes=1)


def test_a_position_without_its_numbers_still_counts_as_a_step() -> None:
    assert occlusion(mean_and_bias(), SERIES, 0).tolist() == [5.5, 12.0]


def test_a_position_that_is_left_out_is_no_step() -> None:
    assert omission(mean_and_bias(), SERIES, 0).tolist() == [17.5 - 24.0, 17.5 - 11.0]


def test_one_number_is_taken_at_a_time() -> None:
    assert feature_occlusion(mean_and_bias(), SERIES, 0).tolist() == [[0.5, 5.0], [2.0, 10.0]]


def test_what_is_set_to_0_of_a_token_is_its_embedding() -> None:
    model = make_model(Embedding(SERIES), Pool("sum"), classes=2)
    assert occlusion(model, np.array([1, 0, 1]), 1).tolist() == [20.0, 10.0, 20.0]


def test_the_score_is_of_the_step_that_is_chosen() -> None:
    model = make_model(Dense(np.array([[1.0, 1.0]]), None), classes=1, by_step=True)
    assert occlusion(model, SERIES, 0, step=1).tolist() == [0.0, 24.0]


@property_test
@given(cases())
def test_every_kind_of_model_is_perturbed(case: Case) -> None:
    for k, (sequence, target) in enumerate(zip(case.sequences, case.targets, strict=True)):
        step = None if case.steps is None else case.steps[k]
        values = embedded(case.model, sequence)
        of_steps = occlusion(case.model, sequence, target, step)
        of_numbers = feature_occlusion(case.model, sequence, target, step)
        assert of_steps.shape == values.shape[:1]
        assert of_numbers.shape == values.shape
        if values.shape[1] == 1:
            assert of_numbers.ravel().tolist() == of_steps.tolist()
        if step is None and not any(isinstance(n.layer, Flatten) for n in case.model.nodes):
            assert omission(case.model, sequence, target).shape == of_steps.shape
