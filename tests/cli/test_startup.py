"""Start-up: a command imports what it uses, for imports are most of the time that it takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from models import KERAS, PYTORCH, WEATHER

ROOT = Path(__file__).parents[2]
OWN = "lstm_lrp_cli"
VARIABLE = "OPENBLAS_NUM_THREADS"
# Libraries that one format, output or check needs, and others do not.
OF_SOME_USES = {
    *("h5py", "pyarrow", "rich", "jinja2", "onnx", "safetensors", "torch", "keras", "tensorflow")
}

# Runs `lrp`, and writes how the process stands at its end. What Python's own start imports, an
# editable install for one, is not counted.
PROGRAM = """
import atexit, json, sys
before = set(sys.modules)
path = sys.argv.pop()

def tell():
    import gc, threadpoolctl
    report = {
        "modules": sorted(set(sys.modules) - before - {"threadpoolctl"}),
        "frozen": gc.get_freeze_count(),
        "collecting": gc.isenabled(),
        "blas_threads": [
            pool["num_threads"]
            for pool in threadpoolctl.threadpool_info()
            if pool["internal_api"] == "openblas"
        ],
    }
    with open(path, "w") as file:
        json.dump(report, file)

atexit.register(tell)
from lstm_lrp_cli.__main__ import run
run()
"""


@pytest.fixture
def ended(tmp_path):
    """Run `lrp` in a process of its own; what was imported and how it stood at its end."""

    def run_lrp(*arguments: object, **environment: str) -> dict:
        report = tmp_path / "report.json"
        inherited = {k: v for k, v in os.environ.items() if k != VARIABLE}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, arguments), str(report)],
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(report.read_text())

    return run_lrp


@pytest.fixture
def imported(ended):
    """Run `lrp` in a process of its own; the modules that it imported."""
    return lambda *arguments: set(ended(*arguments)["modules"])


@pytest.fixture
def explained(tmp_path):
    """The arguments that explain the first lines of a sample's sequences to a file."""

    def arguments(sample, lines: int = 1) -> tuple[object, ...]:
        text = sample.sequences.read_text("utf-8").splitlines(keepends=True)
        some = tmp_path / f"some{sample.sequences.suffix}"
        some.write_text("".join(text[:lines]), "utf-8")
        return "explain", sample.model, some, "-o", tmp_path / "out.tsv"

    return arguments


def libraries(modules: set[str]) -> set[str]:
    """The packages that are neither Python's own nor this one."""
    packages = {module.partition(".")[0] for module in modules}
    return packages - set(sys.stdlib_module_names) - {OWN}


def loading(modules: set[str]) -> set[str]:
    """The modules of the loading folder, each by its own name."""
    start = f"{OWN}.loading."
    return {module.rpartition(".")[2] for module in modules if module.startswith(start)}


class TestWithoutAModel:
    """What shows text about the tool needs nothing but click."""

    @pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
    def test_no_command_is_imported(self, imported, arguments):
        modules = imported(*arguments)
        assert libraries(modules) == {"click"}
        own = {m for m in modules if m.startswith(f"{OWN}.cli.")}
        assert own == {f"{OWN}.cli.main", f"{OWN}.cli.options", f"{OWN}.cli.options.help"}

    @pytest.mark.parametrize(
        "command",
        [
            *("check", "compare", "completion", "convert", "evaluate", "explain", "match"),
            *("inspect", "predict", "summarize"),
        ],
    )
    def test_help_of_a_command_needs_no_numpy(self, imported, command):
        modules = imported(command, "--help")
        # Of msgspec values are made, and it imports the other where there is one.
        assert {"click"} <= libraries(modules) <= {"click", "msgspec", "typing_extensions"}
        assert not loading(modules)


class TestExplainToAFile:
    def test_an_npz_model_needs_no_other_format(self, imported, explained):
        modules = imported(*explained(PYTORCH))
        assert not libraries(modules) & OF_SOME_USES
        others = {"hdf5", "keras", "onnx", "torch", "state_dict", "safetensors", "pickled"}
        assert not others & loading(modules)

    def test_an_hdf5_model_needs_no_library(self, imported, explained):
        modules = imported(*explained(WEATHER, lines=29))
        assert not libraries(modules) & OF_SOME_USES
        assert "hdf5" in loading(modules)
        others = {"onnx", "torch", "state_dict", "safetensors", "pickled"}
        assert not others & loading(modules)

    def test_yaml_is_needed_for_a_mapping_alone(self, imported, explained, tmp_path):
        ids = tmp_path / "ids.txt"
        ids.write_text("1 2 3\n")
        alone = tmp_path / "alone.h5"
        alone.write_bytes(KERAS.model.read_bytes())
        modules = imported("explain", alone, ids, "--ids", "-o", tmp_path / "out.tsv")
        assert f"{OWN}.loading.files.hdf5" in modules
        assert "yaml" not in modules

    def test_compression_is_needed_for_compressed_files_alone(self, imported, explained, tmp_path):
        arguments = explained(WEATHER, lines=29)
        plain = imported(*arguments)
        packed = imported(*arguments[:-1], tmp_path / "out.tsv.gz")
        assert not plain & {"gzip", "bz2", "lzma", "zipfile", "tempfile"}
        assert "gzip" in packed

    def test_rich_is_needed_for_heat_maps_alone(self, imported, explained):
        plain = explained(PYTORCH)
        assert "rich" not in imported(*plain)
        assert "rich" in imported(*plain, "--format", "terminal")

    def test_jinja_is_needed_for_pages_alone(self, imported, explained):
        plain = explained(PYTORCH)
        assert "jinja2" not in imported(*plain)
        assert "jinja2" in imported(*plain, "--format", "html")


class TestSummarizeToAFile:
    def test_json_needs_neither_tables_nor_pages(self, imported, tmp_path):
        results = tmp_path / "results.jsonl"
        results.write_text('{"sequence": 0, "target": 1, "tokens": ["a"], "relevance": [1]}\n')
        modules = imported("summarize", results, "-o", tmp_path / "out.json")
        assert not libraries(modules) & (OF_SOME_USES | {"yaml", "jinja2", "pyarrow"})
        assert "jinja2" in imported("summarize", results, "-o", tmp_path / "out.html")


class TestTheProcess:
    @pytest.mark.skipif(os.cpu_count() == 1, reason="BLAS has one thread on one core anyway")
    @pytest.mark.parametrize(("environment", "wanted"), [({}, 1), ({VARIABLE: "2"}, 2)])
    def test_blas_starts_no_threads_but_those_asked_for(
        self, ended, explained, environment, wanted
    ):
        threads = ended(*explained(PYTORCH), **environment)["blas_threads"]
        if not threads:
            pytest.skip("NumPy's BLAS is not OpenBLAS")
        assert set(threads) == {wanted}

    def test_garbage_is_looked_for_in_a_run_but_not_at_exit(self, ended, explained):
        end = ended(*explained(PYTORCH))
        assert end["collecting"]
        assert end["frozen"] > 10_000
