"""Layers that work on the steps of a sequence, as a mapping has them."""

from typing import Literal

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.loading.files import shape_text
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
    Convolution,
    Crop,
    Flatten,
    Pad,
    Repeat,
    Transpose,
    Unflatten,
    Upsample,
    Window,
    WindowPool,
    WindowPoolName,
)
from lstm_lrp_cli.model.recurrent import ActivationName
from .datasets import Spec
from .site import Keep, Site
from .units import add_activation

ConvolutionLayout = Literal["outputs_inputs_width", "width_inputs_outputs", "width_groups_outputs"]
# Steps of zeros around a sequence: none, as many as keep it as long, all before it, or so many
# before and behind it.
WindowPadding = Literal["valid", "same", "causal"] | list[int]


class FlattenSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """All steps side by side, as one vector."""

    steps: int

    def add(self, site: Site) -> None:
        site.need_one()
        site.need_steps()
        _check_known(site, site.bounded("steps", self.steps))
        site.put(Flatten(self.steps), site.shape.as_vector(self.steps))

    @classmethod
    def of(cls, layer: Flatten, keep: Keep) -> "FlattenSpec":
        return cls(layer.steps)


class UnflattenSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A vector cut into so many steps."""

    steps: int

    def add(self, site: Site) -> None:
        site.need_one()
        site.need_vector()
        site.bounded("steps", self.steps)
        size, shape = site.inputs, site.shape.at_steps(self.steps)
        if size is None:
            part = site.graph.features.parted(shape.units, self.steps, site.wrong)
            site.put(Unflatten(self.steps), shape.of_units(part))
            return
        if size % self.steps:
            raise site.wrong(f"steps: found {self.steps}; expected a divisor of {size} units")
        site.put(Unflatten(self.steps), shape.of_size(size // self.steps))

    @classmethod
    def of(cls, layer: Unflatten, keep: Keep) -> "UnflattenSpec":
        return cls(layer.steps)


class RepeatSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A vector, the same at each of so many steps.

    Without a number, at as many as another value has: `from: [vector, steps]`.
    """

    steps: int | None = None

    def add(self, site: Site) -> None:
        if self.steps is None:
            self._add_for_all(site)
            return
        site.need_one()
        site.need_vector()
        steps = site.bounded("steps", self.steps)
        site.put(Repeat(steps), site.shape.at_steps(steps))

    def _add_for_all(self, site: Site) -> None:
        if len(site.sources) != 2:
            raise site.wrong(
                "expected `steps`, a number, or `from: [vector, steps]`, what is at as many steps"
            )
        site.need_vector()
        site.need_steps(1)
        vector, counted = site.shapes
        site.put(Repeat(None), vector.at_steps(counted.steps, counted.grown))

    @classmethod
    def of(cls, layer: Repeat, keep: Keep) -> "RepeatSpec":
        return cls(layer.steps)


class TransposeSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Steps and units change places; every sequence has so many steps."""

    steps: int

    def add(self, site: Site) -> None:
        site.need_one()
        site.need_steps()
        _check_known(site, site.bounded("steps", self.steps))
        site.put(Transpose(self.steps), site.shape.at_steps(site.inputs).of_size(self.steps))

    @classmethod
    def of(cls, layer: Transpose, keep: Keep) -> "TransposeSpec":
        return cls(layer.steps)


class UpsampleSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Every step so many times."""

    times: int

    def add(self, site: Site) -> None:
        site.need_one()
        site.need_steps()
        times, steps = site.bounded("times", self.times), site.shape.steps
        grown = site.shape.grown * times
        _put_resized(site, Upsample(times), None if steps is None else steps * times, grown)

    @classmethod
    def of(cls, layer: Upsample, keep: Keep) -> "UpsampleSpec":
        return cls(layer.times)


class PadSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Steps of zeros before and after."""

    before: int = 0
    after: int = 0

    def add(self, site: Site) -> None:
        site.need_one()
        site.need_steps()
        more = site.bounded("before", self.before, 0) + site.bounded("after", self.after, 0)
        steps, grown = site.shape.steps, site.shape.grown + more
        padded = None if steps is None else steps + more
        _put_resized(site, Pad(self.before, self.after), padded, grown)

    @classmethod
    def of(cls, layer: Pad, keep: Keep) -> "PadSpec":
        return cls(layer.before, layer.after)


class CropSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Steps left out at the beginning and at the end."""

    before: int = 0
    after: int = 0

    def add(self, site: Site) -> None:
        site.need_one()
        site.need_steps()
        less = site.bounded("before", self.before, 0) + site.bounded("after", self.after, 0)
        steps = site.shape.steps
        left = None if steps is None else steps - less
        _put_resized(site, Crop(self.before, self.after), left, site.shape.grown)

    @classmethod
    def of(cls, layer: Crop, keep: Keep) -> "CropSpec":
        return cls(layer.before, layer.after)


class ConvolutionSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A linear map of the steps in a window, at each of its places."""

    named = ("weights", "bias")
    weights: str
    layout: ConvolutionLayout | None = None
    bias: str | None = None
    stride: int = 1
    dilation: int = 1
    padding: WindowPadding = "valid"
    groups: int = 1
    activation: ActivationName = "linear"
    flipped: bool | None = None

    def add(self, site: Site) -> None:
        site.need_one()
        site.need_steps()
        weights, groups = self._weights(site)
        outputs, inputs, width = weights.shape
        bias = None
        if self.bias is not None:
            bias = site.datasets.read(self.bias, f"{site.key}.bias", 1)
            if len(bias) != outputs:
                problem = f"({site.key}.bias) has {len(bias)} values; expected {outputs}"
                raise site.datasets.array_error([self.bias], problem)
        window = _window(site, width, self.stride, self.dilation, self.padding)
        site.tell(inputs * groups)
        shape = site.shape.at_steps(_steps_behind(site, window), _grown(site, window))
        place = site.put(Convolution(weights, bias, window, groups), shape.of_size(outputs))
        add_activation(site, self.activation, place)

    def _weights(self, site: Site) -> tuple[Floats, int]:
        """The weights as (outputs, inputs of a group, width), and the number of groups."""
        stored = self._stored(site)
        groups = self.groups
        if self.layout is None:
            raise site.wrong(
                "`layout` is missing; set it to outputs_inputs_width (as in PyTorch) or "
                "width_inputs_outputs (as in Keras)"
            )
        if self.layout == "outputs_inputs_width":
            weights = stored
        elif self.layout == "width_inputs_outputs":
            weights = stored.transpose(2, 1, 0)
        else:
            width, groups, of_group = stored.shape
            if self.groups not in (1, groups):
                raise site.wrong(f"groups: found {self.groups}; expected {groups}, as the weights")
            weights = stored.transpose(1, 2, 0).reshape(groups * of_group, 1, width)
        outputs, of_group, _ = weights.shape
        if groups < 1 or outputs % groups:
            raise site.wrong(f"groups: found {groups}; expected a divisor of {outputs} outputs")
        inputs = site.inputs
        if inputs is not None and inputs != of_group * groups:
            raise site.datasets.array_error(
                [self.weights],
                f"({site.key}.weights, layout {self.layout}) has shape {shape_text(stored.shape)}: "
                f"{of_group * groups} features of {groups} group{'s' * (groups > 1)}; the layer "
                f"before gives {inputs}",
            )
        if self.flipped:
            weights = weights[:, :, ::-1]
        return np.ascontiguousarray(weights), groups

    def _stored(self, site: Site) -> Floats:
        """The weights with three axes; those of images that are one pixel high have one more."""
        key, known = f"{site.key}.weights", site.datasets.file.datasets.get(self.weights)
        if known is None or len(known.shape) != 4 or self.layout != "width_inputs_outputs":
            return site.datasets.read(self.weights, key, 3)
        stored = site.datasets.read(self.weights, key, 4)
        if stored.shape[1] != 1:
            found = f"({key}) has shape {shape_text(stored.shape)}"
            problem = f"{found}; expected (width, 1, inputs, outputs), or no such axis"
            raise site.datasets.array_error([self.weights], problem)
        return stored[:, 0]

    @classmethod
    def of(cls, layer: Convolution, keep: Keep) -> "ConvolutionSpec":
        window = layer.window
        return cls(
            keep("weights", layer.weights),
            "outputs_inputs_width",
            keep("bias", layer.bias),
            window.stride,
            window.dilation,
            _padding_of(window),
            layer.groups,
        )


class WindowsSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The largest or the mean of the steps in a window, at each of its places."""

    kind: WindowPoolName
    size: int
    stride: int | None = None
    padding: WindowPadding = "valid"
    counts_padding: bool = False
    dilation: int = 1

    def add(self, site: Site) -> None:
        site.need_one()
        site.need_steps()
        stride = self.size if self.stride is None else self.stride
        window = _window(site, self.size, stride, self.dilation, self.padding)
        layer = WindowPool(self.kind, window, self.counts_padding)
        _put_resized(site, layer, _steps_behind(site, window), _grown(site, window))

    @classmethod
    def of(cls, layer: WindowPool, keep: Keep) -> "WindowsSpec":
        window = layer.window
        return cls(
            layer.kind,
            window.width,
            window.stride,
            _padding_of(window),
            layer.counts_padding,
            window.dilation,
        )


def _put_resized(
    site: Site, layer: Upsample | Pad | Crop | WindowPool, steps: int | None, grown: int
) -> None:
    """Add a layer that changes nothing but the number of steps."""
    if steps is not None and steps < 1:
        raise site.wrong(f"leaves no step of {site.shape.steps}")
    site.put(layer, site.shape.at_steps(steps, grown))


def _grown(site: Site, window: Window) -> int:
    """How many steps a window may make of one, where padding is around the sequence."""
    more = 0 if window.padding == "same" else sum(window.padding)
    return site.shape.grown + more


def _check_known(site: Site, steps: int) -> None:
    """Refuse another number of steps than the layers before are known to give."""
    if site.shape.steps not in (None, steps):
        raise site.wrong(f"steps: found {steps}; the layer before gives {site.shape.steps}")


def _window(site: Site, width: int, stride: int, dilation: int, padding: WindowPadding) -> Window:
    site.bounded("size", width)
    site.bounded("stride", stride)
    site.bounded("dilation", dilation)
    if padding == "same":
        return Window(width, stride, dilation, "same")
    if padding == "causal":
        return Window(width, stride, dilation, (dilation * (width - 1), 0))
    if padding == "valid":
        return Window(width, stride, dilation)
    if not isinstance(padding, list) or len(padding) != 2:
        raise site.wrong(f"padding: found {padding}; expected two numbers, before and after")
    before, after = (site.bounded("padding", each, 0) for each in padding)
    return Window(width, stride, dilation, (before, after))


def _padding_of(window: Window) -> WindowPadding:
    return "same" if window.padding == "same" else list(window.padding)


def _steps_behind(site: Site, window: Window) -> int | None:
    """How many steps there are behind a window, where it is known how many there are before."""
    steps = site.shape.steps
    if steps is None:
        return None
    if window.padding == "same":
        return -(-steps // window.stride)
    reach = window.dilation * (window.width - 1) + 1
    left = steps + sum(window.padding) - reach
    if left < 0:
        raise site.wrong(f"has a window of {reach} steps, and the layer before gives {steps}")
    return left // window.stride + 1
