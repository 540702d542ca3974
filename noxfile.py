"""What is run on this project, each in an environment of its own: `nox --list` tells.

`nox` alone runs the tests and the style; `nox -s tests-3.12 -- tests/engine` some tests of one
Python. A Python that is not installed is skipped, and said to be.
"""

import subprocess
import tarfile
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TORCH = "torch==2.13.0"
# What anybody may want of the sources, beside the package.
SHIPPED = ("tests/", "docs/", "sample_models/", "lstm_lrp_cli/")

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests that need no framework; or those that are named."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """The same tests, and the share of lines and branches that they run."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", "--cov", *session.posargs)


@nox.session
def frameworks(session: nox.Session) -> None:
    """Comparisons with live frameworks, none skipped."""
    session.install(TORCH)
    session.install("-e", ".[frameworks]")
    # Published models; what they depend on is of no use here.
    session.install("--no-deps", "asmscan-bilstm==1.0.0", "fin-sentiment==0.1.4")
    chosen = session.posargs or ("tests/frameworks",)
    session.run("pytest", *chosen, env={"LRP_REQUIRE_FRAMEWORKS": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as a site, strictly, in build/site."""
    session.install("-e", ".[docs]")
    site = ("build", "--strict", "--quiet", "-f", "docs/site/mkdocs.yml")
    session.run("mkdocs", *site, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, beside PyTorch; what follows -- goes to them."""
    session.install(TORCH)
    session.install("-e", ".")
    session.run("python", "tests/benchmarks/run.py", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Build a wheel and an sdist in dist/, check them, and use what each installs."""
    session.install("build", "twine")
    dist = Path("dist")
    for old in (*dist.glob("*.whl"), *dist.glob("*.tar.gz")):
        old.unlink()
    session.run("python", "-m", "build", "--outdir", str(dist))
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    version = wheel.name.split("-")[1]
    for built in (wheel, sdist):
        session.log(f"installed from {built.name}, used from another folder")
        _use(session, built.resolve(), version)
    _unpack_and_test(session, sdist, version)


def _use(session: nox.Session, built: Path, version: str) -> None:
    """Install what was built in a fresh environment, explain with it, and check the models."""
    lrp = Path(session.create_tmp(), "used", "bin", "lrp").resolve()
    environment = lrp.parents[1]
    session.run("python", "-m", "venv", "--clear", str(environment))
    session.run(str(lrp.with_name("pip")), "install", "--quiet", str(built), external=True)
    samples = Path("sample_models").resolve()
    with session.chdir(environment):
        said = session.run(str(lrp), "--version", external=True, silent=True)
        if version not in str(said).split():
            session.error(f"lrp --version says {said!r}; expected {version}")
        for name in (
            "sentiment_pytorch/model.npz sentences.txt",
            "sentiment_keras/model.h5 sentences.txt",
            "weather_series/model.h5 series.csv",
        ):
            model, sequences = name.split()
            folder = (samples / model).parent
            arguments = (str(samples / model), str(folder / sequences))
            expected = ("--expected", str(folder / "expected.npy"))
            session.run(str(lrp), "check", *arguments, *expected, external=True)
            session.run(str(lrp), "explain", *arguments, "-q", "-o", "page.html", external=True)
            if not Path("page.html").read_text("utf-8").endswith("</html>\n"):
                session.error("lrp explain wrote no whole page")


def _unpack_and_test(session: nox.Session, sdist: Path, version: str) -> None:
    """Of an sdist: no file is missing, and its tests run where it is unpacked."""
    folder = Path(session.create_tmp(), "unpacked").resolve()
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    sources = folder / f"lstm_lrp_cli-{version}"
    kept = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True)
    at_the_top = ("CITATION.cff", "SECURITY.md", "noxfile.py", "CHANGELOG.md", "LICENSE")
    wanted = [name for name in kept.stdout.split("\0") if name.startswith((*SHIPPED, *at_the_top))]
    missing = [name for name in wanted if not (sources / name).exists()]
    if missing:
        session.error(f"the sdist lacks {', '.join(missing)}")
    session.install(f"{sources}[test]")
    with session.chdir(sources):
        chosen = ("tests/engine/test_golden.py", "tests/cli/test_inspect.py")
        session.run("python", "-m", "pytest", "-q", *chosen)
