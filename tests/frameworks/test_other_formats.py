"""What is not read is told apart in real files, and the lines that are printed keep the weights."""

import io
import pickle
import struct
import tarfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.opening import open_arrays

STATE = ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0", "lstm.bias_hh_l0"]

pytestmark = pytest.mark.filterwarnings("ignore")  # of frameworks, about their own past


@pytest.fixture
def mended(run, tmp_path, monkeypatch):
    """Runs the lines that an error prints, in the file's folder; the file that they write."""
    monkeypatch.chdir(tmp_path)

    def mend(path, what, written, **given):
        result = run("inspect", path)
        assert result.exit_code == 3, result.output
        first, *lines = result.stderr.splitlines()
        assert what in first
        code = [line for line in lines if not line.startswith("#")]
        code = code[: code.index("format: 1")] if "format: 1" in code else code
        # As a user would, who puts in what `...` stands for.
        code = [line for line in code if line.partition(" = ...")[0] not in given]
        exec(compile("\n".join(code), "mend", "exec"), given)
        assert (tmp_path / written).exists()
        return "\n".join(lines)

    return mend


def torch_net(torch):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
            self.fc = torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(self.lstm(x)[0][:, -1])

    torch.manual_seed(0)
    return Net().eval()


@pytest.mark.parametrize(
    ("form", "what", "written"),
    [
        ("trace", "is a TorchScript program", "m_state.pt"),
        ("script", "is a TorchScript program", "m_state.pt"),
        ("tar", "is a file of PyTorch before 0.1.10", "m_state.pt"),
    ],
)
def test_pytorch(run, framework, mended, tmp_path, form, what, written):
    torch = framework("torch")
    net = torch_net(torch)
    x = torch.randn(2, 5, 3)
    path = tmp_path / "m.pt"
    if form == "trace":
        torch.jit.save(torch.jit.trace(net, x), path)
    elif form == "script":
        torch.jit.save(torch.jit.script(net), path)
    else:
        save_tar(torch, path, net.state_dict())
    mended(path, what, written)
    np.save(tmp_path / "x.npy", x.numpy())
    np.save(tmp_path / "y.npy", net(x).detach().numpy())
    result = run("check", written, tmp_path / "x.npy", "--expected", tmp_path / "y.npy")
    assert result.exit_code == 0, result.output


def save_tar(torch, path, state):
    """Write a state dict as PyTorch did before 0.1.10: what is read of tar archives since."""
    storages = pickle.dumps(len(state), 2)
    tensors = pickle.dumps(len(state), 2)
    for key, tensor in enumerate(state.values()):
        storages += pickle.dumps((key, "cpu", torch.FloatStorage), 2)
        storages += struct.pack("<q", tensor.numel()) + tensor.numpy().tobytes()
        tensors += pickle.dumps((key, key, torch.FloatTensor), 2)
        sizes = (*tensor.shape, *tensor.stride(), 0)
        tensors += struct.pack(f"<ii{len(sizes)}q", tensor.dim(), 0, *sizes)
    keys = {id(tensor): str(key) for key, tensor in enumerate(state.values())}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return keys.get(id(value))

    content = io.BytesIO()
    Pickler(content, 2).dump(OrderedDict(state))
    members = {
        "sys_info": pickle.dumps({"little_endian": True}, 2),
        "pickle": content.getvalue(),
        "tensors": tensors,
        "storages": storages + pickle.dumps([], 2),
    }
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size, header.mtime = len(data), 0.5  # which takes a header of its own
            archive.addfile(header, io.BytesIO(data))


def tensorflow_module(tf):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(tf.random.normal((3, 8)), name="lstm/kernel")
            self.head = tf.Variable(tf.random.normal((2, 4)), name="head")
            self.steps = tf.Variable(7)

        @tf.function(input_signature=[tf.TensorSpec((None, 3))])
        def __call__(self, x):
            return x @ self.kernel + tf.reduce_sum(self.head)

    return Module()


def kept(path, *arrays):
    """Whether each array stands in an .npz under some name."""
    with np.load(path) as file:
        held = [file[name] for name in file.files]
    return all(any(np.array_equal(array, each) for each in held) for array in arrays)


@pytest.mark.parametrize("given", ["saved", "saved/saved_model.pb"])
def test_a_saved_model_without_keras(run, framework, tmp_path, given):
    """Its variables are read, and what could be done is said of its layers."""
    tf = framework("tensorflow")
    module = tensorflow_module(tf)
    tf.saved_model.save(module, str(tmp_path / "saved"))
    result = run("inspect", tmp_path / given)
    assert result.exit_code == 3
    assert "in which Keras does not say its layers. Save the model that it was" in result.stderr
    line = f"python -m tf2onnx.convert --saved-model {tmp_path}/saved --output model.onnx"
    assert result.stderr.splitlines()[-1] == line
    with open_arrays(tmp_path / given) as file:
        assert np.array_equal(file.read("kernel"), module.kernel.numpy())
        assert np.array_equal(file.read("head"), module.head.numpy())


@pytest.mark.parametrize("given", ["", "/checkpoint", "/m-1", "/m-1.index", "/m-1.data"])
def test_a_checkpoint(framework, tmp_path, given):
    tf = framework("tensorflow")
    module = tensorflow_module(tf)
    module.others = [
        tf.Variable(tf.cast([[1, 2], [3, 4]], dtype))
        for dtype in ("float64", "float16", "bfloat16", "int64", "int8", "uint16")
    ]
    module.name_of_it = tf.Variable("a text")
    tf.train.Checkpoint(model=module).save(str(tmp_path / "run" / "m"))
    path = f"{tmp_path}/run{given}" + ("-00000-of-00001" if given.endswith("data") else "")
    with open_arrays(Path(path)) as file:
        assert np.array_equal(file.read("model/kernel"), module.kernel.numpy())
        assert np.array_equal(file.read("model/head"), module.head.numpy())
        for number, variable in enumerate(module.others):
            found = file.read(f"model/others/{number}")
            assert np.array_equal(found, variable.numpy().astype(found.dtype))
        with pytest.raises(UnusableInput, match="name_of_it: holds text; expected numbers"):
            file.read("model/name_of_it")


def test_a_checkpoint_of_several_files(framework, tmp_path):
    """As TensorFlow 1 and several machines write them: by name, and with no objects."""
    tf = framework("tensorflow")
    arrays = {f"rnn/kernel_{k}": np.full((k + 1, 2), k, np.float32) for k in range(3)}
    for number, (name, array) in enumerate(arrays.items()):
        tf.raw_ops.SaveV2(
            prefix=f"{tmp_path}/part{number}",
            tensor_names=[name],
            shape_and_slices=[""],
            tensors=[tf.constant(array)],
        )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[f"{tmp_path}/part{k}" for k in range(3)],
        destination_prefix=f"{tmp_path}/whole",
    )
    with open_arrays(tmp_path / "whole") as file:
        assert {name: file.read(name).tolist() for name in file.datasets} == {
            name: array.tolist() for name, array in arrays.items()
        }


def test_a_frozen_graph(framework, mended, tmp_path):
    tf = framework("tensorflow")
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    module = tensorflow_module(tf)
    frozen = convert_variables_to_constants_v2(module.__call__.get_concrete_function())
    tf.io.write_graph(frozen.graph, str(tmp_path), "m.pb", as_text=False)
    mended(tmp_path / "m.pb", "is a frozen TensorFlow graph", "m.npz")
    assert kept(tmp_path / "m.npz", module.kernel.numpy())


def test_tensorflow_lite(run, framework, tmp_path):
    tf = framework("tensorflow")
    module = tensorflow_module(tf)
    function = module.__call__.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    error = run("inspect", tmp_path / "m.tflite").stderr
    assert "is a TensorFlow Lite model in which no LSTM is one operator" in error


@pytest.mark.parametrize("form", ["sequential", "functional", "lookup"])
def test_a_keras_model_whose_ids_no_mapping_can_make(run, framework, mended, tmp_path, form):
    keras = framework("keras")
    framework("tensorflow")
    layers = keras.layers
    texts = ["Not a bad film!", "good, good film", "a film"]
    behind = [layers.Embedding(20, 4), layers.LSTM(3), layers.Dense(2, "softmax")]
    what = "has ngrams 2; expected none. Save the model behind it, and the ids that it makes:"
    if form == "lookup":
        first = layers.IntegerLookup(vocabulary=[7, 5, 3], name="words")
        texts = [[7, 5, 3, 9], [3, 3, 5, 7], [5, 5, 5, 5]]
        what = "makes token ids of other ids"
    else:
        first = layers.TextVectorization(20, ngrams=2, output_sequence_length=6, name="words")
        first.adapt(texts)
    entry = keras.Input(
        (4,) if form == "lookup" else (1,), dtype="int64" if form == "lookup" else "string"
    )
    if form == "functional":
        value = first(entry)
        for layer in behind:
            value = layer(value)
        model = keras.Model(entry, value)
    else:
        model = keras.Sequential([entry, first, *behind])
    model.save(tmp_path / "m.keras")
    mended(tmp_path / "m.keras", what, "m_ids.keras", texts=texts)
    value = np.asarray(first(np.array(texts)))
    for layer in behind:
        value = layer(value)
    np.save(tmp_path / "y.npy", keras.ops.convert_to_numpy(value))
    result = run("check", "m_ids.keras", "ids.npy", "--expected", tmp_path / "y.npy")
    assert result.exit_code == 0, result.output
