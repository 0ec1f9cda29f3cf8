"""The templates, compiled once for each directory and version."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from ecm.model.fields import Checked
from ecm.render.errors import RenderError


class Templates:
    """The templates of one directory: unknown names are errors, nothing is escaped, no value is code."""

    def __init__(self, directory: Path) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(directory),
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701 - configuration files, not HTML; every value has a closed type
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            cache_size=-1,
            auto_reload=False,
        )
        self._environment.globals.clear()
        self._environment.filters.clear()
        self._directory = directory

    def text(self, name: str, context: Checked | None = None) -> str:
        """Return the template called `name` with the fields of `context`; RenderError when it cannot be used."""
        fields = {} if context is None else {key: getattr(context, key) for key in type(context).model_fields}
        try:
            return self._environment.get_template(name).render(fields)
        except TemplateError as error:
            raise RenderError(
                f"{self._directory.name}/{name}",
                type(error).__name__,
                str(error),
                "install the templates of this version of ECM, and use only names that its context has",
            ) from error


def open_templates(directory: Path) -> Templates:
    """Return the templates below `directory`, read again only when a file of it has changed."""
    if not directory.is_dir():
        raise RenderError("templates", directory, "is no directory", "pass the directory that holds node/")
    files = sorted(p for p in directory.rglob("*.j2") if p.is_file())
    return _compiled(directory.resolve(), tuple((p, p.stat().st_mtime_ns, p.stat().st_size) for p in files))


@lru_cache(maxsize=8)
def _compiled(directory: Path, _version: tuple[tuple[Path, int, int], ...]) -> Templates:
    return Templates(directory)
