"""Throughput of chains of one, two and three tiers, against a single wireguard-go hop in the same run.

The chains are the lab's: every packet is encrypted and decrypted once for each tier, by user space WireGuard, on one
machine whose cores they share. So the bound of a chain of n tiers is a single hop's throughput over n, not the single
hop's; `tiersN_ratio` is the chain's throughput over the single hop's. `latency_us` is the median one-way time of light
traffic from a client to its server, and the added time of each tier stands beside what the catalog's formula says for a
tier (its node's service time; the lab has no distance between zones).

    python -m benchmarks.chain_throughput [--quick]

Needs root, iperf3 and the lab's tools. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.fleets import ROOT
from ecm import intent
from ecm.lab import Flows, Folder, LabError, Options, World, built_in, settle
from ecm.lab.clients import new_key
from ecm.lab.commands import batch, end, inside, run, spaces
from ecm.lab.kernel import missing, survey, which
from ecm.lab.node import ONE_THREAD, background
from ecm.lab.recording import between, open_recording
from ecm.lab.traffic import now

FLEETS: Final = {"tiers1": "1", "tiers2": "1-1", "tiers3": "1-1-1"}
SECONDS, QUICK_SECONDS = 10, 4
_HERE, _THERE = "172.31.0.1", "172.31.0.2"
_PORT: Final = 443
_LIGHT: Final = Flows(count=20, packets_per_s=10.0, lifetime_s=0.0)


def _busy() -> float:
    """Processor seconds of the whole machine that were not idle."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / 100


def carry(client: str, server: str, address: str, seconds: int) -> dict[str, float]:
    """Return Mbit/s of one TCP transfer between two namespaces, and processor seconds per Gbit.

    The seconds are the whole machine's, since the kernel's part belongs to no process: nothing else may run on it.
    """
    listener = subprocess.Popen(
        ["ip", "netns", "exec", server, "iperf3", "-s", "-1", "-B", address, "-p", str(_PORT)],
        stdout=subprocess.DEVNULL,
    )
    try:
        time.sleep(0.5)
        before = _busy()
        said = inside(client, "iperf3", "-c", address, "-p", str(_PORT), "-t", str(seconds), "-J")
        spent = _busy() - before
    finally:
        listener.kill()
        listener.wait()
    bits = json.loads(said)["end"]["sum_received"]["bits_per_second"]
    return {"mbps": round(bits / 1e6, 1), "cpu_s_per_gbit": round(spent / (bits * seconds / 1e9), 2)}


def single_hop(folder: Path, seconds: int) -> dict[str, float]:
    """Measure two wireguard-go processes that face each other, as wide as a client's tunnel."""
    names = ("ecmhop-a", "ecmhop-b")
    keys = (new_key(), new_key())
    for name in names:
        run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", "eth0", "netns", names[0], "type", "veth", "peer", "name", "eth0", "netns", names[1])
        for at, (name, outer, inner) in enumerate(zip(names, ("10.9.0.1", "10.9.0.2"), (_HERE, _THERE), strict=True)):
            device = f"ecmhop{at}"
            batch(name, ["link set lo up", f"address add {outer}/30 dev eth0", "link set eth0 up"])
            background(["ip", "netns", "exec", name, "env", ONE_THREAD, "wireguard-go", "-f", device], folder / device)
            _configure(name, device, (keys[at][0], keys[1 - at][1], f"10.9.0.{2 - at}:51820"))
            batch(name, [f"address add {inner}/24 dev {device}", f"link set {device} mtu 1420 up"])
        return carry(names[0], names[1], _THERE, seconds)
    finally:
        end(*(n for n in names if n in spaces("ecmhop-")))
        for name in names:
            run("ip", "netns", "del", name, check=False)


def _configure(space: str, device: str, peer: tuple[str, str, str]) -> None:
    private, public, endpoint = peer
    until = time.monotonic() + 10
    text = f"[Interface]\nPrivateKey={private}\nListenPort=51820\n[Peer]\nPublicKey={public}\nAllowedIPs=0.0.0.0/0\n"
    while True:
        try:
            inside(space, "wg", "setconf", device, "/dev/stdin", stdin=f"{text}Endpoint={endpoint}\n")
        except LabError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def chain(fleet: str, folder: Path, seconds: int) -> dict[str, float]:
    """Measure a chain of the lab: light traffic for its latency, then one transfer."""
    world = World(Folder(folder / fleet))
    try:
        options = Options(templates=ROOT / "templates", flows=_LIGHT, clients=1)
        lab = world.up(built_in(fleet), options)
        settle(world.folder, lab)
        time.sleep(seconds)
        packets = between(open_recording(world.folder.recording), now() - seconds, now() - 0.5)
        there = packets.there > 0
        latency = float(np.median(packets.there[there] - packets.sent[there])) * 1e6
        server = next(s for s in lab.servers if s.port == _PORT)
        space = world.folder.client_space(lab.clients[0])
        found = carry(space, world.folder.world, str(server.address), seconds)
        return found | {"latency_us": round(latency)}
    finally:
        world.down()


def main() -> None:
    """Measure the single hop and every chain, and print the figures."""
    parser = argparse.ArgumentParser(description="Throughput of chains against a single WireGuard hop.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SECONDS} s a transfer instead of {SECONDS}")
    seconds = QUICK_SECONDS if parser.parse_args().quick else SECONDS
    if (lacking := missing()) and not os.environ.get("ECM_REQUIRE_TOOLS"):
        print(f"left out: {'; '.join(lacking)}")
        return
    try:
        survey()
        if which("iperf3") is None:
            raise LabError("not installed: iperf3 (Debian: apt-get install iperf3)")
        with tempfile.TemporaryDirectory(prefix="ecm-throughput-") as made:
            folder = Path(made)
            hop = single_hop(folder, seconds)
            print(f"single hop: {hop}", flush=True)
            found: dict[str, dict[str, float]] = {}
            for name, fleet in FLEETS.items():
                found[name] = chain(fleet, folder, seconds)
                print(f"{name}: {found[name]}", flush=True)
    except LabError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(_figures(hop, found)))


def _figures(hop: dict[str, float], found: dict[str, dict[str, float]]) -> dict[str, Any]:
    latency = intent.load(ROOT, "prod").catalog.latency
    steps = list(found.values())
    added = [round(b["latency_us"] - a["latency_us"]) for a, b in pairwise(steps)]
    ratios = {f"{name}_ratio": round(row["mbps"] / hop["mbps"], 3) for name, row in found.items()}
    return ratios | {
        "single_hop": hop,
        "chains": found,
        "added_per_tier_us": added,
        "formula_per_tier_us": latency.node_us,
    }


if __name__ == "__main__":
    main()
