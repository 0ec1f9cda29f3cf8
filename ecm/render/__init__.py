"""Writes a desired state as node configuration: the only home of the templates. See `templates/node/README.md`."""

from ecm.render.configs import configs
from ecm.render.errors import RenderError

__all__ = ["RenderError", "configs"]
