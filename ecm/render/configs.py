"""All configuration of a desired state."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ecm.model.plan import Desired
from ecm.model.rendered import NodeConfig, PeerTable, Rendered
from ecm.render.clients import peer_objects
from ecm.render.document import base_object
from ecm.render.errors import RenderError
from ecm.render.firewall import tier_firewall
from ecm.render.templates import open_templates
from ecm.render.topology import node_views, tier_views


def configs(desired: Desired, peers: tuple[PeerTable, ...], *, templates: Path) -> Rendered:
    """Return the configuration of every node, active or draining, and the shared objects.

    `templates` is the project's `templates` directory. The same arguments give the same bytes. RenderError when a
    number, a name or a reference of `desired` does not fit what the files can say.
    """
    compiled = open_templates(templates / "node")
    try:
        user_data = compiled.text("cloud-init/user-data.yaml.j2")
        nodes = []
        for view in tier_views(desired):
            shared = tier_firewall(view)
            for node in node_views(view):
                base = base_object(node, shared, compiled)
                nodes.append(
                    NodeConfig(slot=node.slot.id, generation=node.node.generation, base=base, user_data=user_data)
                )
        objects = peer_objects(desired, peers)
    except ValidationError as error:
        raise _refused(error) from error
    return Rendered(nodes=tuple(sorted(nodes, key=lambda n: (n.slot, n.generation))), shared=objects)


def _refused(error: ValidationError) -> RenderError:
    first = error.errors(include_url=False)[0]
    where = ".".join([error.title, *map(str, first["loc"])])
    return RenderError(
        where, ascii(first["input"])[:200], first["msg"], "use only what the type allows; nothing was rendered"
    )
