"""A graph of TensorFlow Lite as a mapping, where its LSTMs are operators of their own.

Converters make one operator of an LSTM of Keras, and two of one that reads in both directions, of
which the second is given the steps turned round. What they take apart into a loop is refused.

Source: TensorFlow, lite/kernels/unidirectional_sequence_lstm.cc.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from msgspec import UNSET, Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.loading.layers.steps import FlattenSpec
from lstm_lrp_cli.loading.layers.units import DenseSpec, EmbeddingSpec
from lstm_lrp_cli.loading.mapping import (
    INPUT_NAME,
    Assumption,
    Described,
    InputSpec,
    Mapping,
    PaddingSpec,
)
from lstm_lrp_cli.model.layers import MergeName
from lstm_lrp_cli.model.recurrent import ActivationName
from .file import BROKEN, LiteFile, LiteOperator

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
SAVE_KERAS = 'save the Keras model that it was made from, model.save("model.keras")'
# What an operator ends in.
FUSED: dict[int, ActivationName] = {0: "linear", 1: "relu", 3: "relu6", 4: "tanh"}
ACTIVATIONS: dict[str, ActivationName] = {
    "LOGISTIC": "sigmoid",
    "TANH": "tanh",
    "RELU": "relu",
    "SOFTMAX": "softmax",
}
MERGES: dict[str, MergeName] = {"ADD": "sum", "MUL": "product"}
# So many numbers say how an operator goes about its axes.
MOST_SETTINGS = 8
GATES = ("i", "f", "g", "o")
# The places of an LSTM's tensors; those that it need not have are peepholes and normalizations.
INPUT_WEIGHTS, RECURRENT_WEIGHTS, BIASES = 1, 5, 12
OTHERS = (9, 10, 11, 20, 21, 22, 23)
PROJECTION, PROJECTION_BIAS = 16, 17
STATES = (18, 19)


class _Flow(Struct, frozen=True):
    """What a tensor is in a mapping.

    Parameters
    ----------
    name : str
        Of the layer, or the input, that puts it out.
    shape : tuple of int
        Without the axis of sequences.
    is_turned : bool
        Whether its steps stand from the last to the first.
    """

    name: str
    shape: tuple[int, ...]
    is_turned: bool = False

    @property
    def has_steps(self) -> bool:
        return len(self.shape) == 2


def describe(file: LiteFile) -> Described:
    """Read the graph as a mapping.

    Raises
    ------
    UnusableInput
        There is an operator, named, that lrp cannot follow.
    """
    if not any(each.kind == LSTM for each in file.operators):
        raise UnusableInput(
            str(file.path),
            "is a TensorFlow Lite model in which no LSTM is one operator "
            f"({LSTM}), as lrp reads them; {SAVE_KERAS}",
        )
    with damaged(
        str(file.path),
        lambda error: f"is damaged, or no graph as converters write it ({error!r}); {SAVE_KERAS}",
        *(*BROKEN, KeyError),
    ):
        return _LiteGraph(file).described()


class _LiteGraph:
    """Follows a graph from its inputs."""

    def __init__(self, file: LiteFile) -> None:
        self.file = file
        self.flows: dict[int, _Flow] = {}
        self.specs: list[tuple[str, LayerSpec, list[str]]] = []
        self.names: frozenset[str] = frozenset()
        self.embedded: set[str] = set()
        # Where cell states are cut: converters write 10 for LSTMs of Keras, which are not.
        self.cuts: set[float] = set()
        self.steps: dict[str, Callable[[LiteOperator, list[_Flow]], _Flow]] = {
            LSTM: self._lstm,
            "FULLY_CONNECTED": self._dense,
            "CONCATENATION": self._joined,
            "STRIDED_SLICE": self._one_step,
            "REVERSE_V2": self._turned,
            "RESHAPE": self._reshaped,
            "GATHER": self._embedding,
            "MEAN": self._pooled,
            "REDUCE_MAX": self._pooled,
            "CAST": self._ids,
            **dict.fromkeys(ACTIVATIONS, self._activation),
            **dict.fromkeys(MERGES, self._merged),
        }

    def described(self) -> Described:
        file = self.file
        inputs = []
        for number in file.inputs:
            tensor = file.tensors[number]
            name = INPUT_NAME if len(file.inputs) == 1 else tensor.name.split(":")[0]
            self.flows[number] = _Flow(name, tensor.stored.shape[1:])
            inputs.append(name)
        self.names = frozenset(inputs)
        for operator in self._live():
            follow = self.steps.get(operator.kind)
            given = [self.flows[each] for each in operator.inputs if each in self.flows]
            if follow is None or not given:
                self._refuse(operator, "is none that lrp can explain")
            self.flows[operator.outputs[0]] = follow(operator, given)
        outputs = [self._straight(self.flows[each]) for each in file.outputs]
        return self._mapping(inputs, [each.name for each in outputs])

    def _live(self) -> list[LiteOperator]:
        """The operators that the outputs depend on, from the inputs on."""
        needed, live = set(self.file.outputs), []
        for operator in reversed(self.file.operators):
            if not needed.isdisjoint(operator.outputs):
                needed.update(operator.inputs)
                live.append(operator)
        return live[::-1]

    def _mapping(self, inputs: list[str], outputs: list[str]) -> Described:
        last = self.specs[-1][0] if self.specs else INPUT_NAME
        several = len(outputs) > 1 or outputs[0] != last
        referred = set(outputs) if several else set()
        before, layers = inputs[0], []
        for name, spec, sources in self.specs:
            if sources != [before]:
                referred.update(sources)
                spec = replace(spec, source=sources[0] if len(sources) == 1 else sources)
            layers.append((name, spec))
            before = name
        specs = [replace(spec, name=name if name in referred else None) for name, spec in layers]
        given = [self._input(number, name) for number, name in enumerate(inputs)]
        alone = len(given) == 1 and given[0].steps
        said: dict[str, Any] = {"padding": given[0].padding} if alone else {"inputs": given}
        assumptions = [
            Assumption(
                "layers",
                "every sequence begins in states of zero, as behind reset_all_variables() of "
                "TensorFlow Lite's interpreter",
            )
        ]
        if self.cuts:
            text = (
                "no cell state goes beyond "
                f"{' or '.join(f'{each:g}' for each in sorted(self.cuts))}, where TensorFlow Lite "
                "cuts it, and Keras does not"
            )
            assumptions.append(Assumption("layers", text))
        mapping = Mapping(format=1, layers=specs, outputs=outputs if several else UNSET, **said)
        described = Described.by(mapping, f"the graph in {self.file.path.name}", assumptions)
        return replace(described, is_followed=True)

    def _input(self, number: int, name: str) -> InputSpec:
        """An input of so many steps; of ids, of which there is no axis of units."""
        shape = self.flows[self.file.inputs[number]].shape
        has_steps = len(shape) == 2 or name in self.embedded
        fixed = has_steps and shape[0] > 0
        padding = PaddingSpec(length=shape[0], value=0, masked=False) if fixed else UNSET
        return InputSpec(name, has_steps, padding=padding)

    def _refuse(self, operator: LiteOperator, problem: str) -> NoReturn:
        name = self.file.tensors[operator.outputs[0]].name if operator.outputs else ""
        where = f"{self.file.path}: operator `{name}` ({operator.kind})"
        raise UnusableInput(where, f"{problem}; {SAVE_KERAS}")

    def _add(
        self,
        operator: LiteOperator,
        spec: LayerSpec,
        given: Sequence[_Flow],
        shape: tuple[int, ...],
    ) -> _Flow:
        sources = [self._straight(each).name for each in given]
        name = f"{operator.kind.lower()} {len(self.specs) + 1}"
        self.specs.append((name, spec, sources))
        return _Flow(name, shape)

    def _straight(self, flow: _Flow) -> _Flow:
        """The same with its steps in their own order."""
        if not flow.is_turned:
            return flow
        name = f"reversed {len(self.specs) + 1}"
        self.specs.append((name, LayerSpec(reverse="steps"), [flow.name]))
        return replace(flow, name=name, is_turned=False)

    def _fused(self, operator: LiteOperator, field: int = 0) -> ActivationName:
        number = operator.options.whole(field, "<b") if operator.options else 0
        if number not in FUSED:
            self._refuse(operator, f"ends in activation {number}")
        return FUSED[number]

    def _weight(self, operator: LiteOperator, place: int) -> str | None:
        """The name of a constant among what an operator is given; None where it has none there."""
        number = operator.inputs[place] if place < len(operator.inputs) else -1
        if number < 0:
            return None
        tensor = self.file.tensors[number]
        if not tensor.size:
            self._refuse(operator, f"is given `{tensor.name}` that is computed")
        return tensor.name

    def _lstm(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        """An LSTM over all steps; one that is given turned steps reads backwards."""
        [source], options = given[:1], operator.options
        if len(given) > 1 or any(any(self._constant_of(operator, place)) for place in STATES):
            self._refuse(operator, "begins in states that it is given")
        if any(self._weight(operator, place) for place in (*OTHERS, PROJECTION_BIAS)):
            self._refuse(operator, "has peepholes, normalizations or a bias of a projection")
        if options is not None:
            self.cuts |= {abs(options.number(k, "<f")) for k in (1, 2)} - {0.0}
        if options is not None and options.whole(3, "<b"):
            self._refuse(operator, "takes steps before sequences")
        if not source.has_steps or self._fused(operator) != "tanh":
            self._refuse(operator, "is given no steps, or has no tanh cells")
        cell = CellSpec(
            input=self._by_gate(operator, INPUT_WEIGHTS),
            recurrent=self._by_gate(operator, RECURRENT_WEIGHTS),
            bias=self._by_gate(operator, BIASES),
            projection=self._weight(operator, PROJECTION),
        )
        side: dict[str, Any] = {"backward" if source.is_turned else "forward": cell}
        spec = LstmSpec(layout="gates_by_features", returns="sequence", **side)
        units = self.file.tensors[operator.outputs[0]].stored.shape[-1]
        straight = replace(source, is_turned=False)
        made = self._add(operator, LayerSpec(lstm=spec), [straight], (source.shape[0], units))
        # A mapping has the steps of a backward LSTM in their own order.
        return replace(made, is_turned=source.is_turned)

    def _by_gate(self, operator: LiteOperator, first: int) -> dict[str, str]:
        found = {gate: self._weight(operator, first + k) for k, gate in enumerate(GATES)}
        named = {gate: name for gate, name in found.items() if name is not None}
        if len(named) < len(GATES):
            self._refuse(operator, "has no input gate, or no bias")
        return named

    def _dense(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        weights = self._weight(operator, 1)
        if weights is None or len(given) > 1:
            self._refuse(operator, "has no weights")
        [source], units = given, self.file.datasets[weights].shape[0]
        spec = DenseSpec(
            weights, "classes_by_features", self._weight(operator, 2), self._fused(operator)
        )
        shape = (*source.shape[:-1], units)
        made = self.file.tensors[operator.outputs[0]].stored.shape
        if made[1:] != shape:
            self._refuse(operator, f"makes {made} of sequences of {source.shape}")
        return self._add(operator, LayerSpec(dense=spec), given, shape)

    def _joined(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        axis = operator.options.whole(0, "<i") if operator.options else 0
        is_units = axis in (-1, len(given[0].shape))
        if not is_units or len(given) != len(operator.inputs) or len({*map(_steps, given)}) > 1:
            self._refuse(operator, "joins something else than units")
        self._check_unfused(operator, 1)
        shape = (*given[0].shape[:-1], sum(each.shape[-1] for each in given))
        return self._add(operator, LayerSpec(merge="concat"), given, shape)

    def _merged(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        if len(given) != 2 or given[0].shape != given[1].shape:
            self._refuse(operator, "joins something else than two of a shape")
        self._check_unfused(operator, 0)
        spec = LayerSpec(merge=MERGES[operator.kind])
        return self._add(operator, spec, given, given[0].shape)

    def _check_unfused(self, operator: LiteOperator, field: int) -> None:
        if self._fused(operator, field) != "linear":
            self._refuse(operator, "ends in an activation")

    def _one_step(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        """The last step, or that of turned steps, which is the first."""
        [source] = given
        begin, stride = (self._constant(operator, place) for place in (1, 3))
        options = operator.options
        masks = [options.whole(k, "<i") if options else 0 for k in range(5)]
        is_one_step = (
            source.has_steps
            and masks[4] == 2  # the axis of steps goes
            and not masks[2]
            and not masks[3]
            and masks[0] & 5 == masks[1] & 5 == 5  # the other axes stay whole
            and not masks[0] & 2
            and len(begin) == 3
            and stride == [1, 1, 1]
        )
        ends = (-1, source.shape[0] - 1) if is_one_step else ()
        if not is_one_step or begin[1] not in (0, *ends):
            self._refuse(operator, "takes something else than one end of a sequence")
        is_last = (begin[1] in ends) is not source.is_turned
        straight = replace(source, is_turned=False)
        spec = LayerSpec(pool="last" if is_last else "first")
        return self._add(operator, spec, [straight], source.shape[1:])

    def _turned(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        [source] = given
        if not source.has_steps or self._constant(operator, 1) != [1]:
            self._refuse(operator, "turns something else than steps")
        return replace(source, is_turned=not source.is_turned)

    def _reshaped(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        """All steps side by side, or nothing at all."""
        [source] = given[:1]
        target = self.file.tensors[operator.outputs[0]].stored.shape[1:]
        if target == source.shape:
            return source
        if not source.has_steps or target != (math.prod(source.shape),):
            self._refuse(operator, f"makes {target} of sequences of {source.shape}")
        spec = LayerSpec(flatten=FlattenSpec(source.shape[0]))
        return self._add(operator, spec, [source], target)

    def _embedding(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        weights, source = self._weight(operator, 0), given[0]
        axis = operator.options.whole(0, "<i") if operator.options else 0
        batches = operator.options.whole(1, "<i") if operator.options else 0
        is_first = source.name in self.names and source.name not in self.embedded
        if weights is None or axis or batches or len(source.shape) != 1 or not is_first:
            self._refuse(operator, "looks up something else than the vectors of tokens")
        self.embedded.add(source.name)
        units = self.file.datasets[weights].shape[-1]
        spec = LayerSpec(embedding=EmbeddingSpec(weights))
        return self._add(operator, spec, given, (*source.shape, units))

    def _pooled(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        [source] = given
        keeps = operator.options.whole(0, "<b") if operator.options else 0
        if not source.has_steps or keeps or self._constant(operator, 1) != [1]:
            self._refuse(operator, "pools something else than steps")
        spec = LayerSpec(pool="mean" if operator.kind == "MEAN" else "max")
        # The order of steps is all the same to it.
        return self._add(operator, spec, [replace(source, is_turned=False)], source.shape[1:])

    def _ids(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        """An input of another type of numbers, as of ids."""
        if given[0].name not in self.names:
            self._refuse(operator, "changes the type of what is computed")
        return given[0]

    def _activation(self, operator: LiteOperator, given: list[_Flow]) -> _Flow:
        sharpness = operator.options.number(0, "<f") if operator.options else 1.0
        if operator.kind == "SOFTMAX" and sharpness != 1.0:
            self._refuse(operator, f"has a softmax of {sharpness:g} times its scores")
        spec = LayerSpec(activation=ACTIVATIONS[operator.kind])
        return self._add(operator, spec, given, given[0].shape)

    def _constant(self, operator: LiteOperator, place: int) -> list[int]:
        """What an operator is given as a few whole numbers; none where they are no constants."""
        found = self._constant_of(operator, place)
        return found.astype(np.int64).tolist() if found.size <= MOST_SETTINGS else []

    def _constant_of(self, operator: LiteOperator, place: int) -> NDArray[Any]:
        number = operator.inputs[place] if place < len(operator.inputs) else -1
        tensor = self.file.tensors[number]
        if number < 0 or not tensor.size:
            return np.zeros(0)
        return self.file.read(tensor.name).ravel()


def _steps(flow: _Flow) -> tuple[int, ...]:
    return flow.shape[:-1]
