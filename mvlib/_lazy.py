"""Names that load their module on first use, so that `import mvlib` stays quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attach(
    package: str, exports: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose names load lazily.

    Parameters
    ----------
    package : str
        The package's own `__name__`.
    exports : mapping of str to str
        Public name to the module that defines it. A name that equals the last part of
        its module's path stands for the module itself, unless the module defines it.

    Returns
    -------
    tuple of callable
        To be assigned to `__getattr__` and `__dir__` in the package.
    """

    def __getattr__(name: str) -> Any:
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(exports[name])
        return getattr(module, name, module)

    def __dir__() -> list[str]:
        return sorted(exports)

    return __getattr__, __dir__
