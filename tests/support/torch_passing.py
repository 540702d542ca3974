"""How autograd sees what is not linear: truly, or as LRP has it.

By LRP at eps and bias factor 0, what an input gets is the gradient of a linearised copy times the
input: a copy that gives the same numbers, in which all that LRP holds constant is a constant.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "softmax": lambda x: x.softmax(-1),
    "exponential": torch.exp,
    "square": torch.square,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0.0, 1.0),
    # The derivative of torch's own hardsigmoid is 1/6 in single precision, whatever its input's.
    "hard_sigmoid_relu6": lambda x: functional.relu6(x + 3.0) / 6.0,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    **{
        name: getattr(functional, name)
        for name in ("relu", "relu6", "elu", "selu", "silu", "softplus", "softsign")
    },
}


class Passing:
    """Everything as it is."""

    def unchanged(self, x: Tensor, y: Tensor) -> Tensor:
        """What a function that passes relevance unchanged makes of x."""
        return y

    def activated(self, kind: str, x: Tensor) -> Tensor:
        return self.unchanged(x, ACTIVATIONS[kind](x))

    def constant(self, x: Tensor) -> Tensor:
        """What is divided by."""
        return x

    def product(self, gate: Tensor, signal: Tensor) -> Tensor:
        return gate * signal

    def merged(self, kind: str, parts: Sequence[Tensor]) -> Tensor:
        match kind:
            case "concat":
                return torch.cat(tuple(parts), -1)
            case "gate":
                return self.product(*parts)
            case "product":
                return math.prod(parts[1:], start=parts[0])
            case "difference":
                return parts[0] - parts[1]
            case "max":  # of equals the first
                return torch.stack(tuple(parts)).max(0).values
        total = sum(parts[1:], start=parts[0])
        return total / len(parts) if kind == "mean" else total


TRULY = Passing()


class AsLrp(Passing):
    """As LRP holds it, by one of the rules for gates.

    Parameters
    ----------
    gates : str
        The rule for gates.

    Attributes
    ----------
    least : float
        The smallest number that a function made something else of than 0; of 0 itself, no gradient
        times input is what it gets.
    """

    def __init__(self, gates: str) -> None:
        self.gates = gates
        self.least = math.inf

    def unchanged(self, x: Tensor, y: Tensor) -> Tensor:
        if y is x:
            return y
        self._look(x, y)
        return x * torch.where(x == 0, 0.0, y / x).detach() + torch.where(x == 0, y, 0.0).detach()

    def constant(self, x: Tensor) -> Tensor:
        return x.detach()

    def product(self, gate: Tensor, signal: Tensor) -> Tensor:
        of_gate = self._of_gate(gate.detach(), signal.detach())
        return of_gate * gate * signal.detach() + (1.0 - of_gate) * gate.detach() * signal

    def merged(self, kind: str, parts: Sequence[Tensor]) -> Tensor:
        """Of a product, each factor has as much as every other."""
        if kind != "product":
            return super().merged(kind, parts)
        fixed = [part.detach() for part in parts]
        whole = [
            part * math.prod(fixed[:k] + fixed[k + 1 :], start=1.0) for k, part in enumerate(parts)
        ]
        return sum(whole[1:], start=whole[0]) / len(parts)

    def _of_gate(self, gate: Tensor, signal: Tensor) -> Tensor:
        """The share of a gate in its product with a signal."""
        match self.gates:
            case "lrp-all":
                return gate * 0.0
            case "lrp-half":
                return gate * 0.0 + 0.5
            case "lrp-prop":
                self._look(gate + signal, torch.ones(()))
                return gate / (gate + signal)
        size = gate.abs() + signal.abs()
        return torch.where(size > 0, gate.abs() / size, 0.0)

    def _look(self, x: Tensor, y: Tensor) -> None:
        telling = x.detach().abs()[(y != 0).expand_as(x)]
        if len(telling):
            self.least = min(self.least, float(telling.min()))
