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

from lstm_lrp_cli.engine.methods import (
    METHODS,
    Baseline,
    Groups,
    InputBaseline,
    InputGroups,
    Settings,
)
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

    @settings(max_examples=80, deadline=None, derandomize=True, database=None)
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


def baselines_of(model, sequence, samples):
    """Baselines of as many steps as a sequence, as torch has them and as an own method does."""
    rng = np.random.default_rng(samples)
    of_steps = rng.normal(size=(samples, *embedded(model, sequence).shape))
    return of_steps, Baseline("own", (InputBaseline(of_steps),))


@SAMPLES
@pytest.mark.parametrize("samples", [1, 3])
def test_expected_gradients_are_the_mean_over_baselines(framework, sample, samples):
    torch, attr = framework("torch"), captum_attr(framework)
    from torch_model import scores_of

    model, [first, *_] = loaded(sample)
    of_steps, baseline = baselines_of(model, first, samples)
    [found] = explain_by(
        made("integrated-gradients", steps=9, baseline=baseline), model, [first], [0]
    )
    values = torch.from_numpy(embedded(model, first))[None]
    of_captum = attr.IntegratedGradients(scores_of(model))
    each = [
        of_captum.attribute(values, torch.from_numpy(start)[None], target=0, n_steps=9)
        for start in of_steps
    ]
    expected = torch.cat(each).mean(dim=0).detach().numpy()
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found.relevance, expected, rtol=1e-6, atol=1e-9 * largest)


@SAMPLES
@pytest.mark.parametrize("groups", [None, "features", "steps", "mask"])
def test_occlusion_is_the_ablation_of_captum(framework, sample, groups):
    """Captum gives each number all that its group has; here they share it."""
    torch, attr = framework("torch"), captum_attr(framework)
    from torch_model import scores_of

    model, [first, *_] = loaded(sample)
    (of_steps,), baseline = baselines_of(model, first, 1)
    rng = np.random.default_rng(3)
    steps, size = of_steps.shape
    mask = np.arange(steps * size).reshape(steps, size)
    own = None
    if groups == "features":
        table = rng.integers(0, 3, (1, size))
        own, mask = InputGroups(features=table), table + 3 * np.arange(steps)[:, None]
    elif groups == "steps":
        own = InputGroups((slice(1, 4), slice(-2, None)), features=np.zeros((1, size), dtype=int))
        of_step = np.arange(steps)
        of_step[1:4], of_step[-2:] = 1, steps - 2
        mask = np.repeat(of_step[:, None], size, axis=1)
    elif groups == "mask":
        mask = rng.integers(0, 6, (steps, size))
        own = InputGroups(features=mask)
    if groups is None and size > 8:
        mask, own = mask // size, InputGroups(features=np.zeros((1, size), dtype=int))
    _, mask = np.unique(mask, return_inverse=True)
    mask = mask.reshape(steps, size)
    method = made(
        "occlusion", baseline=baseline, groups=None if own is None else Groups("own", (own,))
    )
    [found] = explain_by(method, model, [first], [0])
    expected = attr.FeatureAblation(scores_of(model)).attribute(
        torch.from_numpy(embedded(model, first))[None],
        torch.from_numpy(of_steps)[None],
        target=0,
        feature_mask=torch.from_numpy(mask)[None],
    )
    shared = expected[0].numpy() / np.bincount(mask.ravel())[mask]
    largest = np.abs(shared).max()
    np.testing.assert_allclose(found.relevance, shared, rtol=1e-10, atol=1e-12 * largest)
