"""What each operator of aten is in ONNX's vocabulary, in TABLE.

Arguments have the names of aten/src/ATen/native/native_functions.yaml.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from lstm_lrp_cli.loading.operators.arrays import GraphNode
from lstm_lrp_cli.loading.operators.file import DAMAGED
from . import AtenNode, Taken, Translation
from .moves import EVAL, MOVES, VIEWS, Translator
from .products import PRODUCTS, WITHOUT_LENGTHS

# Why some operators are not followed, by their names.
REFUSED = {
    **dict.fromkeys(
        ("_pack_padded_sequence", "_pad_packed_sequence", "pad_sequence"),
        f"packs sequences by their lengths; {WITHOUT_LENGTHS}",
    ),
    **dict.fromkeys(
        ("index", "gather", "index_select", "take_along_dim"),
        "takes a step that each sequence's length tells; take the last step, out[:, -1] or "
        f"hidden[-1], and {WITHOUT_LENGTHS}",
    ),
    **dict.fromkeys(
        ("masked_fill", "where", "masked_select"), f"leaves out steps by a mask; {WITHOUT_LENGTHS}"
    ),
    **dict.fromkeys(
        ("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"),
        "is one step of a recurrent layer, in a loop over a number of steps that is fixed; lrp "
        "explains nn.LSTM, nn.GRU and nn.RNN: copy the cell's weights into one",
    ),
    **dict.fromkeys(
        ("rand", "randn", "rand_like", "randn_like", "bernoulli", "normal"),
        "is chance: no score is the same twice; begin in zeros, and export the model again",
    ),
    **dict.fromkeys(("topk", "sort", "argmax", "kthvalue"), "picks values by their size"),
}

POOLS = {"MaxPool": "max", "AveragePool": "mean"}
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def translated(
    nodes: Sequence[AtenNode], outputs: Sequence[str], path: str, file_bytes: int
) -> list[GraphNode]:
    """The nodes of a graph, which gives some outputs, in ONNX's vocabulary.

    Raises
    ------
    UnusableInput
        One changes in place what others take.
    """
    uses = Counter(name for node in nodes for name in _taken(node.given.values()))
    uses.update(outputs)
    makers = {name: node for node in nodes for name in node.outputs}
    made: list[GraphNode] = []
    for node in nodes:
        if not node.outputs:
            continue  # an assertion
        translation = Translation(node, path, file_bytes)
        try:
            _translate(translation, uses, makers)
        except DAMAGED as error:
            translation = Translation(node, path, file_bytes)
            translation.refuse(f"has arguments that it never has: {error or type(error).__name__}")
        made += translation.made
    return made


def _translate(t: Translation, uses: Counter[str], makers: dict[str, AtenNode]) -> None:
    node, kind = t.node, t.node.kind
    if kind.endswith("_") and not kind.startswith("_"):
        if not _is_alone(node, uses, makers):
            # Whether or not its own output is taken: what it changes is.
            t.refuse(
                "changes a tensor in place that other operators take too; expected a new one, as "
                "by inplace=False"
            )
            raise t.made[-1].unusable(t.made[-1].attributes["problem"])
        kind = kind.removesuffix("_")
    if kind in REFUSED:
        t.refuse(REFUSED[kind])
    elif kind in TABLE:
        TABLE[kind](t)
    else:
        t.put(node.target, _taken(node.given.values()), node.outputs)


def _taken(values: Any) -> list[str]:
    """The names of all tensors among some arguments."""
    return list(_each_taken(values))


def _each_taken(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, Taken):
            yield value.name
        elif isinstance(value, list):
            yield from _each_taken(value)


def _is_alone(node: AtenNode, uses: Counter[str], makers: dict[str, AtenNode]) -> bool:
    """Whether what a node changes in place is taken by it alone, whatever that is a view of."""
    name = next(iter(_taken(node.given.values())), "")
    for _ in range(len(makers) + 1):
        if uses[name] != 1:
            return False
        maker = makers.get(name)
        if maker is None or maker.kind not in VIEWS:
            return True
        name = next(iter(_taken(maker.given.values())), "")
    return False


def _reduction(op: str) -> Translator:
    def translate(t: Translation) -> None:
        if t.given("dim") in (None, []):
            t.refuse("runs over all axes; expected that of steps")
            return
        keep = int(bool(t.given("keepdim")))
        t.become(op, t.tensor("self"), axes=t.axes("dim"), keepdims=keep)

    return translate


def _over_axis(op: str) -> Translator:
    def translate(t: Translation) -> None:
        t.become(op, t.tensor("self"), axis=t.axis("dim"))

    return translate


def _activation(kind: str) -> Translator:
    return lambda t: t.become("aten.activation", t.tensor("self"), kind=kind)


def _gelu(t: Translation) -> None:
    kind = "gelu_tanh" if t.given("approximate", "none") == "tanh" else "gelu"
    t.become("aten.activation", t.tensor("self"), kind=kind)


def _elu(t: Translation) -> None:
    if t.given("scale", 1) != 1 or t.given("input_scale", 1) != 1:
        t.refuse("has scales of its own; expected nn.ELU or nn.SELU")
    else:
        t.become("Elu", t.tensor("self"), alpha=float(t.given("alpha", 1)))


def _softplus(t: Translation) -> None:
    if t.given("beta", 1) != 1:
        t.refuse(f"has the beta {t.given('beta')}; lrp knows 1")
    else:
        t.become("Softplus", t.tensor("self"))


def _clamp(t: Translation, least: str = "min", most: str = "max") -> None:
    low, high = (t.given(name) for name in (least, most))
    if any(isinstance(limit, Taken) for limit in (low, high)):
        t.refuse("has limits that are tensors; expected numbers")
    else:
        t.become("Clip", t.tensor("self"), min=low, max=high)


def _hardtanh(t: Translation) -> None:
    t.become("Clip", t.tensor("self"), min=t.given("min_val", -1), max=t.given("max_val", 1))


def _layer_norm(t: Translation) -> None:
    """Over the last axes, as many as there are sizes of a layer."""
    t.become(
        "LayerNormalization",
        *_with_vectors(t),
        axis=-len(t.given("normalized_shape")),
        epsilon=float(t.given("eps", 1e-5)),
    )


def _group_norm(t: Translation) -> None:
    t.become(
        "GroupNormalization",
        *_with_vectors(t),
        num_groups=t.given("num_groups"),
        epsilon=float(t.given("eps", 1e-5)),
    )


def _with_vectors(t: Translation) -> list[str]:
    return [t.tensor("input"), t.tensor("weight"), t.tensor("bias")]


def _batch_norm(t: Translation) -> None:
    if t.given("training"):
        t.refuse(f"normalizes by what it is given, as in training; {EVAL}")
        return
    names = ("input", "weight", "bias", "running_mean", "running_var")
    t.become(
        "aten.batch_norm", *(t.tensor(name) for name in names), epsilon=float(t.given("eps", 1e-5))
    )


def _recurrent(kind: str, activation: str = "tanh") -> Translator:
    def translate(t: Translation) -> None:
        if "batch_sizes" in t.node.given:
            t.refuse(REFUSED["_pack_padded_sequence"])
            return
        if t.given("train") and t.given("dropout"):
            t.refuse(f"drops units between its layers at inference too; {EVAL}")
            return
        states = t.given("hx")
        states = states if isinstance(states, list) else [states]
        names = [each.name for each in (*states, *t.given("params"))]
        t.put(
            f"aten.{kind}",
            [t.tensor("input"), *names],
            t.node.outputs,
            activation=activation,
            layers=t.given("num_layers"),
            biases=t.given("has_biases"),
            bidirectional=t.given("bidirectional"),
            batch_first=t.given("batch_first"),
        )

    return translate


def _convolution(t: Translation) -> None:
    """Padding, where it is a number, is of as many steps on both sides."""
    weight = t.tensor("weight")
    kernel = [int(size or 1) for size in t.node.sizes[weight][2:]]
    if t.given("transposed") or len(kernel) not in (1, 2):
        t.refuse("is a convolution of another kind; expected nn.Conv1d")
        return
    dilations, padding = _each(t.given("dilation"), kernel, 1), t.given("padding", 0)
    if isinstance(padding, str):
        reach = [d * (size - 1) for d, size in zip(dilations, kernel, strict=True)]
        added = reach if padding == "same" else [0] * len(kernel)
        pads = [n // 2 for n in added] + [n - n // 2 for n in added]
    else:
        pads = _each(padding, kernel, 0) * 2
    bias = t.tensor("bias")
    t.become(
        "Conv",
        *(t.tensor("input"), weight, *([bias] if bias else [])),
        kernel_shape=kernel,
        strides=_each(t.given("stride"), kernel, 1),
        pads=pads,
        dilations=dilations,
        group=t.given("groups", 1),
    )


def _each(value: Any, axes: Sequence[int], default: int) -> list[int]:
    """A setting for each axis of a kernel, where one number is that of all."""
    given = value if isinstance(value, list) else [value]
    given = [default if each is None else int(each) for each in given or [default]]
    return given * len(axes) if len(given) == 1 else given


def _pool(op: str) -> Translator:
    def translate(t: Translation) -> None:
        if t.given("divisor_override") is not None:
            t.refuse("divides by another number than that of the steps in a window")
            return
        sizes = t.sizes_of("self")
        axes = range(2, len(sizes))
        kernel = _each(t.given("kernel_size"), axes, 1)
        pads = _each(t.given("padding"), axes, 0)
        if len(axes) == 1 and sizes[-1] == kernel[0] and not any(pads):
            t.become("aten.pool_of_all", t.tensor("self"), kind=POOLS[op], steps=kernel[0])
            return
        more: dict[str, Any] = {"dilations": _each(t.given("dilation"), axes, 1)}
        if op == "AveragePool":
            more = {"count_include_pad": int(t.given("count_include_pad", True))}
        t.become(
            op,
            t.tensor("self"),
            kernel_shape=kernel,
            strides=_each(t.given("stride"), axes, 1) if t.given("stride") else kernel,
            pads=pads * 2,
            ceil_mode=int(bool(t.given("ceil_mode"))),
            **more,
        )

    return translate


def _global_pool(op: str) -> Translator:
    def translate(t: Translation) -> None:
        if _one(t.given("output_size"), 0) != 1:
            t.refuse("pools to a number of steps; expected one, over all")
        else:
            t.become(op, t.tensor("self"))

    return translate


def _largest(t: Translation) -> None:
    """Over an axis, or the larger of two."""
    if isinstance(t.given("other"), Taken):
        t.become("Max", t.tensor("self"), t.tensor("other"))
    else:
        _reduction("ReduceMax")(t)


def _one(value: Any, default: int) -> int:
    """A setting that is a number, or a list of one."""
    if isinstance(value, list):
        if len(value) > 1:
            raise ValueError(f"a setting of {len(value)} numbers")
        value = value[0] if value else default
    return default if value is None else int(value)


TABLE: dict[str, Translator] = {
    **MOVES,
    **PRODUCTS,
    "mean": _reduction("ReduceMean"),
    "sum": _reduction("ReduceSum"),
    "amax": _reduction("ReduceMax"),
    **dict.fromkeys(("max", "maximum"), _largest),
    **dict.fromkeys(("softmax", "_softmax"), _over_axis("Softmax")),
    **dict.fromkeys(("log_softmax", "_log_softmax"), _over_axis("LogSoftmax")),
    "relu": lambda t: t.become("Relu", t.tensor("self")),
    "sigmoid": lambda t: t.become("Sigmoid", t.tensor("self")),
    "tanh": lambda t: t.become("Tanh", t.tensor("self")),
    "selu": lambda t: t.become("Selu", t.tensor("self")),
    "exp": lambda t: t.become("Exp", t.tensor("self")),
    "hardsigmoid": lambda t: t.become("HardSigmoid", t.tensor("self"), alpha=1 / 6, beta=0.5),
    "elu": _elu,
    "softplus": _softplus,
    **dict.fromkeys(("clamp", "clip"), _clamp),
    "hardtanh": _hardtanh,
    "relu6": lambda t: t.become("Clip", t.tensor("self"), min=0, max=6),
    "silu": _activation("silu"),
    "gelu": _gelu,
    "leaky_relu": lambda t: t.become(
        "aten.leaky_relu", t.tensor("self"), slope=float(t.given("negative_slope", 0.01))
    ),
    "prelu": lambda t: t.become("aten.leaky_relu", t.tensor("self"), t.tensor("weight")),
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    "group_norm": _group_norm,
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "embedding": lambda t: t.become("Gather", t.tensor("weight"), t.tensor("indices"), axis=0),
    **dict.fromkeys(("conv1d", "conv2d", "convolution"), _convolution),
    **dict.fromkeys(
        ("max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices"),
        _pool("MaxPool"),
    ),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _pool("AveragePool")),
    "adaptive_avg_pool1d": _global_pool("GlobalAveragePool"),
    "adaptive_max_pool1d": _global_pool("GlobalMaxPool"),
    "lstm": _recurrent("lstm"),
    "gru": _recurrent("gru"),
    "rnn_tanh": _recurrent("rnn"),
    "rnn_relu": _recurrent("rnn", "relu"),
}
