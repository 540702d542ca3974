"""What was measured on."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info


def describe() -> dict[str, Any]:
    """The machine, and the versions of what ran on it."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": sorted(
            f"{library['internal_api']} {library['version']} ({library.get('architecture')})"
            for library in threadpool_info()
            if library["user_api"] == "blas"
        ),
        "torch": _version("torch"),
        "lrp": _version("lstm-lrp-cli"),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
