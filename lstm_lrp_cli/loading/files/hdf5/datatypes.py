"""The types of elements in an HDF5 file, and how they become NumPy's.

They become what h5py makes of them, so that the same file gives the same numbers.
"""

from enum import IntEnum
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .source import Broken, Fields, FileBytes, filled


class Class(IntEnum):
    INTEGER = 0
    FLOAT = 1
    STRING = 3
    BITS = 4
    OPAQUE = 5
    COMPOUND = 6
    REFERENCE = 7
    ENUM = 8
    VARIABLE = 9
    ARRAY = 10
    COMPLEX = 11


# The longest text of a fixed length that NumPy has.
LONGEST = 2**31 - 1
# How texts of a fixed length end: at a zero, or filled up with zeros or blanks.
AT_ZERO, ZEROS, BLANKS = 0, 1, 2
# The names by which h5py writes booleans and complex numbers.
BOOLEANS = {b"FALSE": 0, b"TRUE": 1}
PARTS = (b"r", b"i")


class FloatForm(Struct, frozen=True):
    """The bits of a float: where they are and how many.

    Parameters
    ----------
    sign, exponent, mantissa : int
        The lowest bit of each.
    exponent_bits, mantissa_bits, bias : int
    hidden : bool
        Whether the mantissa's first bit is implied.
    """

    sign: int
    exponent: int
    exponent_bits: int
    mantissa: int
    mantissa_bits: int
    bias: int
    hidden: bool = True


# As IEEE 754 has them, with NumPy's names.
FORMS = {
    FloatForm(15, 10, 5, 0, 10, 15): "f2",
    FloatForm(31, 23, 8, 0, 23, 127): "f4",
    FloatForm(63, 52, 11, 0, 52, 1023): "f8",
}


class Datatype(Struct, frozen=True):
    """The type of a dataset's or attribute's elements.

    Parameters
    ----------
    size : int
        The bytes of an element in the file.
    name : str
        What NumPy calls it; "text" where it is one.
    dtype : numpy.dtype or None
        What its bytes are; None where they are neither numbers nor text.
    padding : int or None
        How texts of a fixed length end.
    variable : bool
        Whether the bytes of an element name a text in a heap.
    form : FloatForm or None
        Of floats that NumPy does not know, whose bytes are unsigned integers of `dtype`.
    is_bool : bool
    """

    size: int
    name: str
    dtype: np.dtype[Any] | None = None
    padding: int | None = None
    variable: bool = False
    form: FloatForm | None = None
    is_bool: bool = False

    @property
    def is_text(self) -> bool:
        return self.name == "text"

    @property
    def made(self) -> np.dtype[Any] | None:
        """What its numbers become."""
        if self.form is not None and self.dtype is not None:
            wide: np.dtype[Any] = np.dtype(self.name)
            return wide.newbyteorder(self.dtype.byteorder)
        boolean: np.dtype[Any] = np.dtype(bool)
        return boolean if self.is_bool else self.dtype

    def numbers(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Elements as they are stored, of `dtype`, as the numbers that they are."""
        found: NDArray[Any] = stored
        if self.is_bool:
            found = stored != 0
        elif self.form is not None:
            found = _floats(stored, self.form).astype(self.made)
        return found


def datatype_of(body: bytes, source: FileBytes, what: str) -> Datatype:
    """Understand a message of a type.

    Raises
    ------
    Broken
    """
    fields = Fields(body, source, f"the type of {what}")
    return _read(fields, depth=0)


def _read(fields: Fields, depth: int) -> Datatype:
    begin = fields.number(1)
    kind, version = begin & 15, begin >> 4
    bits, size = fields.number(3), fields.number(4)
    if size == 0:
        raise Broken(f"{fields.what} has elements of no bytes")
    match kind:
        case Class.INTEGER | Class.BITS:
            return _integer(fields, bits, size, bool(kind == Class.INTEGER and bits & 8))
        case Class.FLOAT:
            return _float(fields, bits, size)
        case Class.STRING if size <= LONGEST:
            return Datatype(size, "text", np.dtype(f"S{size}"), padding=bits & 15)
        case Class.ENUM:
            return _enum(fields, bits & 0xFFFF, version, depth)
        case Class.VARIABLE if bits & 15 == 1 and size == 8 + fields.source.offset_bytes:
            return Datatype(size, "text", variable=True)
        case Class.VARIABLE | Class.REFERENCE:
            return Datatype(size, "object")
        case Class.COMPOUND:
            return Datatype(size, _compound(fields, bits & 0xFFFF, version, size))
        case Class.COMPLEX:
            return Datatype(size, f"complex{8 * size}")
    return Datatype(size, f"void{8 * size}")


def _integer(fields: Fields, bits: int, size: int, signed: bool) -> Datatype:
    shift, precision = fields.number(2), fields.number(2)
    if size not in (1, 2, 4, 8) or shift or precision != 8 * size:
        return Datatype(size, f"integers of {precision} bits")
    dtype = np.dtype(f"{'>' if bits & 1 else '<'}{'i' if signed else 'u'}{size}")
    return Datatype(size, dtype.name, dtype)


def _float(fields: Fields, bits: int, size: int) -> Datatype:
    shift, precision = fields.number(2), fields.number(2)
    exponent, exponent_bits = fields.number(1), fields.number(1)
    mantissa, mantissa_bits = fields.number(1), fields.number(1)
    bias, norm, sign = fields.number(4), bits >> 4 & 3, bits >> 8 & 255
    order = {0: "<", 1: ">"}.get(bits & 1 | bits >> 5 & 2)
    form = FloatForm(sign, exponent, exponent_bits, mantissa, mantissa_bits, bias, norm == 2)
    if order and form in FORMS and precision == 8 * size and FORMS[form] == f"f{size}":
        dtype = np.dtype(f"{order}{FORMS[form]}")
        return Datatype(size, dtype.name, dtype)
    if order and form.hidden and size in (1, 2, 4, 8) and max(shift, 0) == 0:
        name = _room_for(form, size)
        if name:
            return Datatype(size, name, np.dtype(f"{order}u{size}"), form=form)
    wide = np.dtype(np.longdouble)
    if size == wide.itemsize and order == "<" and _is_extended(form):
        return Datatype(size, wide.name, wide)
    return Datatype(size, f"floats of {precision} bits")


def _room_for(form: FloatForm, size: int) -> str:
    """The smallest of NumPy's floats that hold all of a form's; "" where none does."""
    fits = max(form.sign, form.exponent + form.exponent_bits - 1) < 8 * size
    largest = 2**form.exponent_bits - form.bias - 1
    apart = form.mantissa_bits <= form.exponent and 0 < form.exponent_bits <= 11
    for name in ("float16", "float32", "float64") if fits and apart else ():
        info = np.finfo(name)
        holds = form.mantissa_bits <= info.nmant and largest <= info.maxexp
        if holds and 1 - form.bias >= info.minexp and form.mantissa + form.mantissa_bits <= 64:
            return name
    return ""


def _is_extended(form: FloatForm) -> bool:
    """Whether it is what x86 computes with, and NumPy's long double is that."""
    return form == FloatForm(79, 64, 15, 0, 64, 16383, hidden=False) and (
        np.finfo(np.longdouble).nmant == 63
    )


def _floats(stored: NDArray[Any], form: FloatForm) -> NDArray[np.float64]:
    """The numbers of a form, of which each is one of float64 too."""
    words = stored.astype(np.uint64)

    def part(lowest: int, bits: int) -> NDArray[np.uint64]:
        return (words >> np.uint64(lowest)) & np.uint64(2**bits - 1)

    exponent = part(form.exponent, form.exponent_bits).astype(np.int64)
    fraction = part(form.mantissa, form.mantissa_bits).astype(np.float64)
    small = exponent == 0
    # The mantissa counts from 1, but in the smallest numbers, which share the lowest exponent.
    whole = np.where(small, fraction, fraction + 2.0**form.mantissa_bits)
    power = np.maximum(exponent, 1) - form.bias - form.mantissa_bits
    with np.errstate(over="ignore"):  # those of the highest exponent are none
        numbers = np.ldexp(whole, power.astype(np.int32))
    last = exponent == 2**form.exponent_bits - 1
    numbers = np.where(last, np.where(fraction == 0, np.inf, np.nan), numbers)
    return np.where(part(form.sign, 1) == 1, -numbers, numbers)


def _enum(fields: Fields, count: int, version: int, depth: int) -> Datatype:
    base = _read(fields, depth + 1) if depth == 0 else None
    if base is None or base.dtype is None or base.dtype.kind not in "iu":
        raise Broken(f"{fields.what} has names for what are no integers")
    names = [_member(fields, version) for _ in range(count)]
    values = np.frombuffer(fields.take(base.size * count), base.dtype).tolist()
    is_bool = dict(zip(names, values, strict=True)) == BOOLEANS
    return Datatype(base.size, "bool" if is_bool else base.name, base.dtype, is_bool=is_bool)


def _member(fields: Fields, version: int) -> bytes:
    """The name of a part of a type."""
    start = fields.at
    name = fields.text()
    if version < 3:
        fields.at = start + filled(fields.at - start)
    return name


def _compound(fields: Fields, count: int, version: int, size: int) -> str:
    """What NumPy calls several values in one; h5py writes complex numbers so."""
    if count == 2:
        parts = {}
        for _ in range(count):
            name = _member(fields, version)
            fields.skip({1: 32, 2: 4}.get(version, (size.bit_length() + 7) // 8))
            if fields.data[fields.at : fields.at + 1] not in (b"\x11", b"\x31", b"\x21"):
                break  # no float
            parts[name] = _read(fields, depth=1).name
        if tuple(parts) == PARTS and len(set(parts.values())) == 1:
            return f"complex{8 * size}"
    return f"void{8 * size}"
