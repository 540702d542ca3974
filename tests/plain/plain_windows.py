"""Which steps stand in each window over a sequence."""

from math import ceil

from lstm_lrp_cli.model.layers import Window


def places(window: Window, steps: int) -> list[list[tuple[int, int]]]:
    """Of each output step: the steps in its window that there are, each with its place there.

    What is at other places of the window is padding.
    """
    reach = window.dilation * (window.width - 1) + 1
    if window.padding == "same":
        outputs = ceil(steps / window.stride)
        missing = max((outputs - 1) * window.stride + reach - steps, 0)
        before = missing // 2
    else:
        before, after = window.padding
        outputs = max((steps + before + after - reach) // window.stride + 1, 0)
    found = []
    for t in range(outputs):
        at = [(k, window.stride * t - before + window.dilation * k) for k in range(window.width)]
        found.append([(k, step) for k, step in at if 0 <= step < steps])
    return found
