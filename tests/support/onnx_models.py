"""ONNX models put together node by node."""

import numpy as np

FEATURES, HIDDEN, CLASSES = 3, 2, 3


def random_weights(seed=5, directions=1, features=FEATURES, hidden=HIDDEN):
    """W, R and B as ONNX's LSTM takes them, in its gate order i, o, f, c."""
    rng = np.random.default_rng(seed)
    shapes = {"W": (4 * hidden, features), "R": (4 * hidden, hidden), "B": (8 * hidden,)}
    return {name: rng.normal(size=(directions, *shape)) for name, shape in shapes.items()}


class OnnxGraph:
    """A graph that grows node by node; tensors are called by names."""

    def __init__(self, onnx, dtype="float32", opset=14):
        self.onnx = onnx
        self.helper = onnx.helper
        self.dtype = dtype
        self.opset = opset
        self.nodes = []
        self.constants = []
        self.inputs = []
        self.outputs = []

    def input(self, name="x", sizes=("batch", "steps", FEATURES), dtype=None):
        self.inputs.append(self._value(name, dtype or self.dtype, sizes))
        return name

    def constant(self, name, array):
        array = np.asarray(array)
        if array.dtype.kind == "f":
            array = array.astype(self.dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, op, *inputs, outputs=1, **attributes):
        """A node, and the names of what it makes."""
        names = [f"{op.lower()}{len(self.nodes)}_{k}" for k in range(outputs)]
        called = f"{op}_{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(op, inputs, names, name=called, **attributes))
        return names[0] if outputs == 1 else names

    def lstm(self, x, states=(), directions=1, layout=0, hidden=HIDDEN, **attributes):
        """An LSTM with random weights over (batch, steps, features), and its three outputs."""
        arrays = random_weights(directions=directions, hidden=hidden)
        weights = [self.constant(*named) for named in arrays.items()]
        if not layout:
            x = self.add("Transpose", x, perm=[1, 0, 2])
        settings = {"hidden_size": hidden, "layout": layout, **attributes}
        return self.add("LSTM", x, *weights, "", *states, outputs=3, **settings)

    def dense(self, x, inputs=HIDDEN, name="head"):
        rng = np.random.default_rng(6)
        weights = self.constant(name, rng.normal(size=(inputs, CLASSES)))
        bias = self.constant(f"{name}.bias", rng.normal(size=CLASSES))
        return self.add("Gemm", x, weights, bias)

    def last(self, hidden, layout=0):
        """Of the last hidden states those of the first direction."""
        return self.add("Gather", hidden, self.constant("first", np.array(0)), axis=layout)

    def output(self, name, sizes=("batch", CLASSES)):
        self.outputs.append(self._value(name, self.dtype, sizes))

    def model(self):
        graph = self.helper.make_graph(
            self.nodes, "graph", self.inputs, self.outputs, self.constants
        )
        opset = self.helper.make_opsetid("", self.opset)
        return self.helper.make_model(graph, opset_imports=[opset], ir_version=8)

    def save(self, path):
        path.write_bytes(self.model().SerializeToString())
        return path

    def _value(self, name, dtype, sizes):
        kind = self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.helper.make_tensor_value_info(name, kind, sizes)
