"""Golden pages: everything rendered for the first node of each tier, as text that a person can review."""

from __future__ import annotations

import json

from ecm.model.plan import Desired
from ecm.render import configs
from tests.golden.stacks import ROOT


def pages(desired: Desired) -> dict[str, str]:
    """Every golden page of a desired state by file name: one page a tier, user data, and the digest of every object."""
    rendered = configs(desired, (), templates=ROOT / "templates")
    found = {"objects.txt": "".join(f"{o.digest} {o.key}\n" for o in rendered.objects)}
    for node in rendered.nodes:
        name = node.slot.split("/")[0] + ".txt"
        if name not in found:
            found[name] = _page(node.base.text)
        found["user-data.yaml"] = node.user_data
    return found


def _page(text: str) -> str:
    document = json.loads(text)
    files = document.pop("files")
    parts = [f"==> base.json without its files\n{json.dumps(document, indent=1, sort_keys=True)}\n"]
    parts += [f"==> {path}\n{content}" for path, content in sorted(files.items())]
    return "\n".join(parts)
