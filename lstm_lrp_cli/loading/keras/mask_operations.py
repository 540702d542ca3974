"""The operations by which Keras 3 computes a mask, which its files have among the layers.

They are followed back to the layers that make the mask, so that what is called with one is called
with nothing else.
"""

from typing import Any, Final

from msgspec import Struct, field

from .document import CallName, LayerCall, kind_of

# Nothing is masked beside a layer's own masks, or everything: what is joined with them.
ZEROS: Final = ("zeros", -1)
ONES: Final = ("ones", -1)
# A layer that makes a mask, or, before its units are looked at together, a pair of it.
Made = frozenset[Any]
# What nothing changes.
SAME = ("ops.ConvertToTensor", "ops.ExpandDims", "ops.Squeeze")
# What makes one mask of several, or of all units, and what is of no effect there.
JOINING = {"ops.LogicalOr": ZEROS, "ops.LogicalAnd": ONES, "ops.Any": ZEROS, "ops.All": ONES}
OVER_UNITS = ("ops.Any", "ops.All", "ops.ExpandDims", "ops.Squeeze", "ops.Concatenate")
EACH_UNIT = "each unit"


class MaskReader(Struct):
    """Tells of masks which layers make them."""

    calls: dict[CallName, LayerCall]
    known: dict[CallName, Made | None] = field(default_factory=dict)

    def makers(self, mask: CallName) -> frozenset[CallName] | None:
        """The layers whose mask it is, or theirs together; None where it is any other."""
        made = self._made(mask)
        if not made or any(each in (ZEROS, ONES) or each[0] == EACH_UNIT for each in made):
            return None
        return made

    def _made(self, name: CallName) -> Made | None:
        if name not in self.known:
            self.known[name] = self._of_operation(self.calls[name])
        return self.known[name]

    def _of_operation(self, call: LayerCall) -> Made | None:
        kind = kind_of(call.entry)
        match kind:
            case "ops.NotEqual":
                return self._compared(call)
            case "ops.ZerosLike":
                return frozenset({ZEROS})
            case "ops.OnesLike":
                return frozenset({ONES})
        if kind not in (*SAME, *JOINING, "ops.Concatenate") or not _is_over_units(kind, call):
            return None
        sources = [self._made(source) for source, _ in call.tensors]
        if not sources or None in sources:
            return None
        return _joined(kind, frozenset().union(*(each for each in sources if each)))

    def _compared(self, call: LayerCall) -> Made | None:
        """The layers that mask what is equal to a number in the same tensor."""
        if len(call.tensors) != 1 or len(call.others) != 1:
            return None
        [tensor], [number] = call.tensors, call.others
        found = set[Any]()
        for name, other in self.calls.items():
            config = other.entry["config"]
            if other.tensors[:1] != (tensor,):
                continue
            kind = kind_of(other.entry)
            if kind == "Embedding" and config.get("mask_zero") and number == 0:
                found.add(name)
            if kind == "Masking" and config["mask_value"] == number:
                found.add((EACH_UNIT, name))
        return frozenset(found) or None


def _is_over_units(kind: str, call: LayerCall) -> bool:
    """Whether an operation with an axis works along the last, which is no other's to have."""
    if kind not in OVER_UNITS:
        return True
    settings = {**call.entry["config"], **call.settings}
    return settings.get("axis") == -1 and not settings.get("keepdims") and not call.others


def _joined(kind: str, made: Made) -> Made | None:
    """What one or several masks come to."""
    if kind not in JOINING:
        return made
    idle = JOINING[kind]
    if (ZEROS if idle == ONES else ONES) in made:
        return None
    made -= {idle}
    of_units = {each for each in made if each[0] == EACH_UNIT}
    if of_units and (kind != "ops.Any" or of_units != made):
        return None
    return frozenset(maker for _, maker in of_units) if of_units else made
