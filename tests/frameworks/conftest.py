"""Live comparisons need the frameworks: pip install -e '.[frameworks]'.

Without them these tests are skipped. With LRP_REQUIRE_FRAMEWORKS set, as in CI, they fail instead.
"""

import importlib
import importlib.util
import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture(scope="session")
def framework():
    """Import a framework by name, or skip."""

    def load(name):
        if importlib.util.find_spec(name) is None and not os.environ.get("LRP_REQUIRE_FRAMEWORKS"):
            pytest.skip(f"{name} is not installed")
        return importlib.import_module(name)

    return load
