import importlib

import pytest
from installed import spec_of


@pytest.fixture
def arrow():
    """pyarrow, or skip."""
    spec_of("pyarrow")
    importlib.import_module("pyarrow.parquet")
    return importlib.import_module("pyarrow")
