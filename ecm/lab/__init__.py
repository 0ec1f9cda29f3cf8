"""The lab: a plan's chains on one Linux machine, with the very files that nodes on AWS get, and drills on them.

Network namespaces are the nodes, the real agent runs on each with WireGuard, BIRD and nftables; a namespace between
them is the VPC and the internet, with a stand-in for the load balancer; clients carry thousands of flows to servers
behind the exits, and every packet's time is kept.
"""

from ecm.lab.drill import Drill, How, Result, Watch
from ecm.lab.errors import LabError
from ecm.lab.fleets import built_in
from ecm.lab.state import Flows, Folder
from ecm.lab.watch import Status, settle, status
from ecm.lab.world import Options, World

__all__ = [
    "Drill",
    "Flows",
    "Folder",
    "How",
    "LabError",
    "Options",
    "Result",
    "Status",
    "Watch",
    "World",
    "built_in",
    "settle",
    "status",
]
