"""Evaluates pickles of plain data, without calling what they name.

Python's `pickle` calls whatever function a pickle names. The interpreter here knows
only the opcodes for containers, numbers, strings and None, and the names that it is
given. It takes no more memory than a small multiple of the pickle.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
"""Opcodes whose argument is the value."""
_CONTAINERS = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class CodeRefused(Exception):
    """A pickle names a function or class that is not known.

    Attributes:
      name: Module and name.
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


def evaluate(
    pickle: bytes, *, names: Mapping[str, Any], persistent: Callable[..., Any]
) -> Any:
    """Returns the object in a pickle of protocol 2 or later.

    Args:
      pickle: The pickle.
      names: What the names of functions and classes stand for, such as
        `{"collections.OrderedDict": dict}`.
      persistent: Returns the object of a persistent ID, which is a tuple of arguments.

    Raises:
      CodeRefused: If the pickle names another function or class.
      Exception: If the pickle is damaged, or uses other opcodes.
    """
    machine = _Machine(names, persistent)
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name == "STOP":
            return machine.stack.pop()
        machine.step(opcode.name, argument)
    raise ValueError("a pickle must end with STOP, but does not")


class _Machine:
    """State of the evaluation of a pickle."""

    def __init__(self, names: Mapping[str, Any], persistent: Callable[..., Any]):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.names = names
        self.persistent = persistent

    def step(self, opcode: str, argument: Any) -> None:
        """Executes an opcode."""
        stack = self.stack
        if opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in _LITERALS:
            stack.append(argument)
        elif opcode in _CONTAINERS:
            stack.append(_CONTAINERS[opcode]())
        elif opcode in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[opcode])))
        else:
            self._step(opcode, argument)

    def _step(self, opcode: str, argument: Any) -> None:
        """Executes an opcode that is not of a new constant, number or container."""
        stack = self.stack
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self.marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(self._pop_to_mark()))
            case "APPEND":
                self._extend(self._pop(1))
            case "APPENDS":
                self._extend(self._pop_to_mark())
            case "SETITEM":
                self._update(self._pop(2))
            case "SETITEMS":
                self._update(self._pop_to_mark())
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                self._push_name(*argument.split(" "))
            case "STACK_GLOBAL":
                self._push_name(*self._pop(2))
            case "BINPERSID":
                stack.append(self.persistent(*stack.pop()))
            case "REDUCE":
                function, arguments = self._pop(2)
                stack.append(function(*arguments))
            case "BUILD":  # Sets attributes, which plain data do not need.
                stack.pop()
            case _:
                raise ValueError(f"opcode {opcode} is not known")

    def _push_name(self, module: str, name: str) -> None:
        full_name = f"{module}.{name}"
        if full_name not in self.names:
            raise CodeRefused(full_name)
        self.stack.append(self.names[full_name])

    def _pop(self, count: int) -> list[Any]:
        """Removes the last objects of the stack, and returns them in order."""
        if len(self.stack) < count:
            raise ValueError("the stack holds too few objects")
        return self._pop_from(len(self.stack) - count)

    def _pop_to_mark(self) -> list[Any]:
        return self._pop_from(self.marks.pop())

    def _pop_from(self, start: int) -> list[Any]:
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("items must be added to a list")
        self.stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        keys, values = items[::2], items[1::2]
        # Python would hash a deeply nested tuple until its stack overflows.
        if any(isinstance(key, tuple) for key in keys):
            raise ValueError("keys must not be tuples")
        if not isinstance(self.stack[-1], dict):
            raise ValueError("keys must be set in a dict")
        self.stack[-1].update(zip(keys, values, strict=True))
