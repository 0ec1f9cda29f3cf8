"""The lab's own processes: `python -m ecm.lab PART FOLDER [CLIENT]`. `ecm lab` starts them."""

from __future__ import annotations

import sys
from pathlib import Path

from ecm.lab.assist import Assistant
from ecm.lab.balancer import Balancer
from ecm.lab.packets import enter
from ecm.lab.state import Folder
from ecm.lab.traffic import Traffic


def main() -> None:
    """Run the part that is named until the process is ended."""
    part, folder = sys.argv[1], Folder(Path(sys.argv[2]))
    if part == "balancer":
        enter(folder.net)
        Balancer(folder).run()
    elif part == "traffic":
        Traffic(folder, folder.read()).run()
    else:
        lab = folder.read()
        Assistant(folder, lab, next(c for c in lab.clients if c.id == sys.argv[3])).run()


if __name__ == "__main__":
    main()
