"""Functions compiled to machine code when first called, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Return `function`, typed as it is, compiled by numba; it releases the interpreter's lock while it runs."""
    return cast("Function", numba.njit(cache=True, nogil=True)(function))
