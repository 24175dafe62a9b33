"""What TensorRT says while it works: errors are kept, the rest is passed on."""

from __future__ import annotations

from typing import Any, Callable, List

LAST = 12
"""Errors that are kept: the first ones say most, later ones follow from them."""

MEMORY = ("out of memory", "outofmemory", "memoryallocation", "insufficient memory")


class Journal:
    """Lines of one logger. TensorRT calls it from several threads."""

    def __init__(self, told: Callable[[str], None] = lambda _line: None) -> None:
        self.errors: List[str] = []
        self._told = told

    def add(self, severity: str, line: str) -> None:
        if severity in ("ERROR", "INTERNAL_ERROR"):
            if len(self.errors) < LAST and line not in self.errors:
                self.errors.append(line)
        elif severity != "VERBOSE":
            self._told(line)

    @property
    def out_of_memory(self) -> bool:
        text = " ".join(self.errors).lower().replace(" ", "")
        return any(sign.replace(" ", "") in text for sign in MEMORY)

    def text(self) -> str:
        return "; ".join(self.errors) or "it says nothing"


def logger_for(trt: Any, journal: Journal) -> Any:
    """A logger that writes into the journal. It has to outlive what is made with it."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            journal.add(severity.name, msg)

    return Logger()
