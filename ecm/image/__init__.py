"""The node image: its recipe, the root file system made from it, and whether that boots as a node should."""

from ecm.image.boot import booted
from ecm.image.checks import Finding, check_files, check_programs, check_running
from ecm.image.recipe import Arch, ImageError, Recipe, host_architecture, read_recipe
from ecm.image.root import Build, build_root

__all__ = [
    "Arch",
    "Build",
    "Finding",
    "ImageError",
    "Recipe",
    "booted",
    "build_root",
    "check_files",
    "check_programs",
    "check_running",
    "host_architecture",
    "read_recipe",
]
