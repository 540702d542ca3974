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
# A layer that makes a mask; with one of these words, what has an axis of units too: a comparison
# unit by unit, or a mask that is the same for all units.
EACH_UNIT, WIDENED = "each unit", "widened"
Made = frozenset[Any]
# What makes one mask of several, or of all units, and what is of no effect there.
JOINING = {"ops.LogicalOr": ZEROS, "ops.LogicalAnd": ONES, "ops.Any": ZEROS, "ops.All": ONES}
OVER_UNITS = ("ops.Any", "ops.All", "ops.ExpandDims", "ops.Squeeze", "ops.Concatenate")
FOLLOWED = ("ops.ConvertToTensor", *OVER_UNITS, *JOINING)


class MaskReader(Struct):
    """Tells of masks which layers make them."""

    calls: dict[CallName, LayerCall]
    known: dict[CallName, Made | None] = field(default_factory=dict)

    def makers(self, mask: CallName) -> frozenset[CallName] | None:
        """The layers whose mask it is, or theirs together; None where it is any other."""
        made = self._made(mask)
        return made if made and _words(made) == {None} else None

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
        if kind not in FOLLOWED or not _is_over_units(kind, call):
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


def _words(made: Made) -> set[str | None]:
    """What there is of layers: masks, or of what kind what has an axis of units."""
    return {
        each[0] if each in (ZEROS, ONES) or each[0] in (EACH_UNIT, WIDENED) else None
        for each in made
    }


def _joined(kind: str, made: Made) -> Made | None:
    """What one or several masks come to, where that is one as Keras makes it."""
    idle = JOINING.get(kind)
    kept = made - {idle}
    words = _words(kept)
    match kind:
        case "ops.ExpandDims" if words == {None}:
            return frozenset((WIDENED, maker) for maker in made)
        case "ops.Any" if words in ({EACH_UNIT}, {WIDENED}):
            return frozenset(maker for _, maker in kept)
        case "ops.All" | "ops.Squeeze" if words == {WIDENED}:
            return frozenset(maker for _, maker in kept)
        case "ops.LogicalOr" | "ops.LogicalAnd" if words == {WIDENED} or (
            words == {None} and kept == made
        ):
            return kept
        case "ops.Concatenate" if words <= {WIDENED, ZEROS[0], ONES[0]}:
            return made
        case "ops.ConvertToTensor":
            return made
    return None
