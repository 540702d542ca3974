"""Gradients are torch's own, and the methods made of them captum's, live."""

import importlib
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from models import PYTORCH, WEATHER
from plain_forward import embedded
from random_models import Case, cases
from together import explain_by

from lstm_lrp_cli.engine.methods import METHODS, Baseline, InputBaseline, Settings
from lstm_lrp_cli.inputs.read import Source, read_sequences
from lstm_lrp_cli.loading.load import load_model


def made(name, **chosen):
    return METHODS[name](Settings(**chosen))


def of_torch(torch, scores, values, target, step):
    """torch's gradient of one score of one sequence, of its shape."""
    values = torch.from_numpy(values).requires_grad_()
    found = scores(values[None])[0]
    (gradient,) = torch.autograd.grad(
        found[target if step is None else (step, target)], values, materialize_grads=True
    )
    return gradient.numpy()


def test_gradients_of_models_of_every_shape(framework):
    torch = framework("torch")
    from torch_model import scores_of

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(cases())
    def compare(case: Case) -> None:
        model, sequences, targets, _, steps = case
        scores = scores_of(model)
        methods = [made("gradient"), made("gradient-x-input")]
        in_full, of_steps = (
            [explain_by(method, model, sequences, targets, steps, reach) for method in methods]
            for reach in ("features", "steps")
        )
        for k, sequence in enumerate(sequences):
            if not len(sequence):
                continue  # which has no gradient, and which torch does not pool
            values = embedded(model, sequence)
            step = None if steps is None else steps[k]
            gradient = of_torch(torch, scores, values, targets[k], step)
            for number, expected in enumerate((gradient**2, gradient * values)):
                close = {"rtol": 1e-10, "atol": 1e-10 * np.abs(expected).max(initial=0.0)}
                found, whole = in_full[number][k].relevance, of_steps[number][k].relevance
                np.testing.assert_allclose(found, expected, **close)
                np.testing.assert_allclose(whole, expected.sum(axis=1), **close)

    compare()


def loaded(sample):
    """A sample model in float64, and its first sequences."""
    model = load_model(sample.model, None, np.dtype("float64")).model
    source = Source(str(sample.sequences), None, False, False)
    return model, [each.inputs for each in islice(read_sequences(source, model), 12)]


def captum_attr(framework):
    framework("captum")
    return importlib.import_module("captum.attr")


SAMPLES = pytest.mark.parametrize("sample", [PYTORCH, WEATHER], ids=["sentiment", "weather"])
CAPTUMS = pytest.mark.parametrize(
    ("name", "attribution", "settings"),
    [
        ("gradient-x-input", "InputXGradient", {}),
        ("integrated-gradients", "IntegratedGradients", {"n_steps": 50}),
    ],
)


@SAMPLES
@CAPTUMS
def test_methods_of_captum(framework, sample, name, attribution, settings):
    torch, attr = framework("torch"), captum_attr(framework)
    from torch_model import scores_of

    model, sequences = loaded(sample)
    targets = [k % model.classes for k in range(len(sequences))]
    of_captum = getattr(attr, attribution)(scores_of(model))
    for k, found in enumerate(explain_by(made(name), model, sequences, targets)):
        values = torch.from_numpy(embedded(model, sequences[k]))[None].requires_grad_()
        expected = of_captum.attribute(values, target=targets[k], **settings)[0].detach().numpy()
        largest = np.abs(expected).max()
        np.testing.assert_allclose(found.relevance, expected, rtol=1e-6, atol=1e-9 * largest)


def test_integrated_gradients_from_a_baseline(framework):
    torch, attr = framework("torch"), captum_attr(framework)
    from torch_model import scores_of

    model, [first, *_] = loaded(WEATHER)
    baseline = np.random.default_rng(0).normal(size=model.only_input.size)
    method = made(
        "integrated-gradients",
        steps=7,
        baseline=Baseline("own", (InputBaseline(baseline[np.newaxis, np.newaxis]),)),
    )
    [found] = explain_by(method, model, [first], [0])
    values = torch.from_numpy(first)[None]
    expected = attr.IntegratedGradients(scores_of(model)).attribute(
        values,
        torch.from_numpy(np.broadcast_to(baseline, first.shape).copy())[None],
        target=0,
        n_steps=7,
    )
    np.testing.assert_allclose(found.relevance, expected[0].numpy(), rtol=1e-6, atol=1e-12)
