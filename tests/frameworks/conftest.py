"""Live comparisons need the frameworks: pip install -e '.[frameworks]'.

Without them these tests are skipped. With LRP_REQUIRE_FRAMEWORKS set, as in CI, they fail instead.
"""

import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture
def keras(framework):
    """Keras with a seed of its own; layers are named anew in each test.

    Garbage is not looked for behind each: that took twice as long as the tests.
    """
    imported = framework("keras")
    imported.utils.set_random_seed(1)
    yield imported
    imported.backend.clear_session(free_memory=False)
