"""Packages that a test needs: without one it is skipped, or fails where CI asks for all."""

import importlib.util
import os
import shutil
from importlib.machinery import ModuleSpec

import pytest


def spec_of(package: str) -> ModuleSpec | None:
    """Where a package is found, which is not imported: it may need what is not here."""
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # the package that it is in
        found = None
    if found is None and not os.environ.get("LRP_REQUIRE_FRAMEWORKS"):
        pytest.skip(f"{package} is not installed", allow_module_level=True)
    return found


def program_or_package(name: str) -> None:
    """A program on the path, or else a package, must be there."""
    if shutil.which(name) is None:
        spec_of(name)
