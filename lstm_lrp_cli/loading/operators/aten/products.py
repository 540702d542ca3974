"""Operators of aten that add, multiply and weigh, in PRODUCTS."""

import math

from . import Taken, Translation
from .moves import Translator

WITHOUT_LENGTHS = (
    "export the model without lengths, packing and masks: lrp runs each sequence at its own length"
)


def _of_two(op: str) -> Translator:
    """Sums and products; where one is a number, it is a constant."""

    def translate(t: Translation) -> None:
        if t.given("alpha", 1) != 1 or t.given("rounding_mode") is not None:
            t.refuse("scales what it adds, or rounds; expected a plain sum, product or quotient")
            return
        t.become(op, t.tensor("self"), t.tensor("other"))

    return translate


def _subtract(t: Translation) -> None:
    """A constant is added as its negative."""
    other = t.given("other")
    if t.given("alpha", 1) != 1:
        t.refuse("scales what it takes away; expected a plain difference")
    elif isinstance(other, Taken):
        t.become("Sub", t.tensor("self"), other.name)
    else:
        t.become("Add", t.tensor("self"), t.constant(-float(other)))


def _subtract_from(t: Translation) -> None:
    """A number less what a layer gives, as `1 - gate`."""
    if t.given("alpha", 1) != 1:
        t.refuse("scales what it takes away; expected a plain difference")
    else:
        t.become("Sub", t.tensor("other"), t.tensor("self"))


def _gated(t: Translation) -> None:
    """A half of the units times the sigmoid of the other."""
    axis = t.axis("dim", default=-1)
    size = t.sizes_of("self")[axis]
    if size is None or size % 2:
        t.refuse("halves an axis whose size is left open or odd; expected units")
        return
    halves = [f"{t.node.outputs[0]}/half {k}" for k in (1, 2)]
    t.put("Split", [t.tensor("self")], halves, axis=axis, split=[size // 2] * 2)
    gate = t.put("Sigmoid", halves[1:])
    t.become("Mul", halves[0], gate)


def _power(t: Translation) -> None:
    if t.given("exponent") != 2:
        t.refuse(f"is a power of {t.given('exponent')}; lrp knows 2")
    else:
        t.become("aten.activation", t.tensor("self"), kind="square")


def _divide(t: Translation) -> None:
    other = t.given("other")
    if t.given("rounding_mode") is not None or other == 0:
        t.refuse("rounds, or divides by 0; expected a plain quotient")
    elif isinstance(other, Taken):
        t.become("Div", t.tensor("self"), other.name)
    else:
        t.become("Div", t.tensor("self"), t.constant(float(other)))


def _linear(t: Translation) -> None:
    _product(t, t.tensor("input"), t.tensor("weight"), t.tensor("bias"), turned=True)


def _addmm(t: Translation) -> None:
    if t.given("beta", 1) != 1 or t.given("alpha", 1) != 1:
        t.refuse("scales its inputs (alpha, beta); expected not")
        return
    _product(t, t.tensor("mat1"), t.tensor("mat2"), t.tensor("self"))


def _product(t: Translation, left: str, right: str, bias: str, *, turned: bool = False) -> None:
    t.become("Gemm", left, right, *([bias] if bias else []), transB=int(turned))


def _matmul(t: Translation) -> None:
    right = "other" if "other" in t.node.given else "mat2"
    right = right if right in t.node.given else "vec"
    t.become("MatMul", t.tensor("self"), t.tensor(right))


def _attention(t: Translation) -> None:
    """softmax(q k' / sqrt(units)) v, as torch.nn.functional has it."""
    if t.given("attn_mask") is not None or t.given("is_causal"):
        t.refuse(f"hides steps from one another; {WITHOUT_LENGTHS}")
        return
    sizes = t.sizes_of("query")
    order = [*range(len(sizes) - 2), len(sizes) - 1, len(sizes) - 2]
    scale = t.given("scale")
    scale = 1 / math.sqrt(int(sizes[-1] or 1)) if scale is None else float(scale)
    keys = t.put("Transpose", [t.tensor("key")], perm=order)
    products = t.put("MatMul", [t.tensor("query"), keys])
    scaled = t.put("Mul", [products, t.constant(scale)])
    weights = t.put("Softmax", [scaled], axis=len(sizes) - 1)
    t.become("MatMul", weights, t.tensor("value"))


def _einsum(t: Translation) -> None:
    """A product of two tensors that sums over one axis, as a product of matrices."""
    given, _, made = t.given("equation", "").replace(" ", "").partition("->")
    names = [each.name for each in t.given("tensors")]
    one, other = [*given.split(","), "", ""][:2]
    lead = [each for each in one if each in other and each in made]
    summed = [each for each in one if each in other and each not in made]
    rows = [each for each in one if each not in other]
    columns = [each for each in other if each not in one]
    is_product = len(summed) == 1 and max(len(rows), len(columns)) < 2 and len(names) == 2
    if not is_product or sorted(made) != sorted([*lead, *rows, *columns]):
        t.refuse(f"is `{t.given('equation')}`; expected products of matrices, as 'bth,bt->bh'")
        return
    left, right = [*lead, *rows, *summed], [*lead, *summed, *columns]
    one_name = t.put("Transpose", names[:1], perm=[one.index(each) for each in left])
    other_name = t.put("Transpose", names[1:], perm=[other.index(each) for each in right])
    if not rows:
        one_name = t.put("Unsqueeze", [one_name], axes=[len(lead)])
    if not columns:
        other_name = t.put("Unsqueeze", [other_name], axes=[len(lead) + 1])
    product = t.put("MatMul", [one_name, other_name])
    gone = [len(lead) + k for k, axis in enumerate((rows, columns)) if not axis]
    product = t.put("Squeeze", [product], axes=gone) if gone else product
    left_over = [*lead, *rows, *columns]
    t.become("Transpose", product, perm=[left_over.index(each) for each in made])


PRODUCTS: dict[str, Translator] = {
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    "add": _of_two("Add"),
    "mul": _of_two("Mul"),
    "sub": _subtract,
    "rsub": _subtract_from,
    "neg": lambda t: t.become("Neg", t.tensor("self")),
    "pow": _power,
    "square": lambda t: t.become("aten.activation", t.tensor("self"), kind="square"),
    "glu": _gated,
    "div": _divide,
    "linear": _linear,
    "addmm": _addmm,
    **dict.fromkeys(("matmul", "bmm", "mm", "mv"), _matmul),
}
