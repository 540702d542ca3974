"""The JSON that torch.export writes, as far as it is read: torch/_export/serde/schema.py.

A value of several forms is an object of one key, which tells the form, such as `as_int`.
"""

from typing import Any

from msgspec import Struct

# The version that is read; its minor versions add keys, which have no meaning here.
VERSION = 8
# The element types of the schema, as NumPy names them.
DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    34: "uint32",
    35: "uint64",
}


class JsonSize(Struct):
    as_int: int | None = None
    as_expr: Any = None


class TensorMeta(Struct):
    dtype: int
    sizes: list[JsonSize]
    strides: list[JsonSize]
    storage_offset: JsonSize


class Payload(Struct):
    path_name: str
    use_pickle: bool = False
    tensor_meta: TensorMeta | None = None


class Payloads(Struct):
    config: dict[str, Payload]


class NamedArgument(Struct):
    name: str
    arg: dict[str, Any]
    kind: int = 1


class JsonNode(Struct):
    target: str
    inputs: list[NamedArgument]
    outputs: list[dict[str, Any]]
    metadata: dict[str, str] = {}


class JsonGraph(Struct):
    outputs: list[dict[str, Any]]
    nodes: list[JsonNode]
    tensor_values: dict[str, TensorMeta]


class GraphSignature(Struct):
    input_specs: list[dict[str, dict[str, Any]]]
    output_specs: list[dict[str, Any]]


class CallSignature(Struct):
    out_spec: str = ""


class ModuleCall(Struct):
    fqn: str
    signature: CallSignature | None = None


class GraphModule(Struct):
    graph: JsonGraph
    signature: GraphSignature
    module_call_graph: list[ModuleCall] = []


class SchemaVersion(Struct):
    major: int
    minor: int = 0


class Versioned(Struct):
    schema_version: SchemaVersion
    torch_version: str = ""


class Program(Struct):
    graph_module: GraphModule
