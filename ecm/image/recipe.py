"""`templates/image/recipe.yaml`: what a node image is made of."""

from __future__ import annotations

import platform
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, StringConstraints, ValidationError

from ecm.model.base import Frozen
from ecm.model.catalog import Architecture

PackageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]{1,63}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9][A-Za-z0-9.+~]{0,39}$")]
"""Debian's upstream version, or the first parts of it."""
Argument = Annotated[str, StringConstraints(pattern=r"^-{0,2}[A-Za-z0-9-]{1,30}$")]


class ImageError(Exception):
    """An image cannot be built or checked: what is missing or wrong, and how to mend it."""


class Arch(StrEnum):
    """Debian's architectures that nodes are built for."""

    AMD64 = "amd64"
    ARM64 = "arm64"


class Machine(Frozen):
    """One architecture."""

    catalog: Architecture
    """As policies/catalog.yaml and EC2 call it."""
    boot: tuple[PackageName, ...] = Field(min_length=1)
    """Kernel, boot loader and cloud-init: what a machine has beside the root file system that is checked."""
    wheels: Annotated[str, StringConstraints(pattern=r"^manylinux[a-z0-9_]{1,40}$")]
    """Platform tag of the agent's compiled packages."""


class Recipe(Frozen):
    """The recipe."""

    suite: Annotated[str, StringConstraints(pattern=r"^[a-z]{3,20}$")]
    packages: dict[PackageName, Version] = Field(min_length=1)
    architectures: dict[Arch, Machine] = Field(min_length=1)
    absent: tuple[PackageName, ...]
    """Must not be there, whatever depends on them."""
    tools: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,20}$")], tuple[Argument, ...]]


def read_recipe(folder: Path) -> Recipe:
    """Return the recipe in `folder` (templates/image); ImageError names the field that is wrong."""
    path = folder / "recipe.yaml"
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}; give the project's folder with --root") from None
    except yaml.YAMLError as error:
        raise ImageError(f"{path}: not readable as YAML: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ImageError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def host_architecture() -> Arch | None:
    """Return this machine's architecture, or None where no node image is built for it."""
    return {"x86_64": Arch.AMD64, "aarch64": Arch.ARM64}.get(platform.machine())
