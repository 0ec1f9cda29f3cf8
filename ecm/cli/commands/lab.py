"""`ecm lab up`, `status`, `drill`, `down`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.table import Table

from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.lab.state import Flows, Folder
from ecm.model.plan import Desired

_FOLDER: Final = ".ecm/lab"
_EXAMPLES: Final = """
\b
Examples:
  ecm lab up                                    2-2-2: two ingress, two transit, two egress nodes
  ecm lab up --fleet 2-3-2                      one transit node more, while traffic flows
  ecm lab up --plan latest --stack staging      the nodes of a plan
  ecm lab status
  ecm lab drill kill lab-mid/us-east-1a/0       what the traffic loses, and where it goes
  ecm lab drill return lab-mid/us-east-1a/0
  ecm lab down
"""
Place = Annotated[Path | None, typer.Option("--folder", help=f"The lab's files; else {_FOLDER}.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(
        help="A plan's chains on this machine, without AWS: real agents, WireGuard, BIRD and nftables, and drills.",
        rich_markup_mode=None,
        epilog=_EXAMPLES,
    )
    group.command(epilog=_EXAMPLES)(up)
    group.command("status")(show_status)
    group.command(epilog=_EXAMPLES)(drill)
    group.command()(down)
    app.add_typer(group, name="lab")


def up(  # noqa: PLR0913 - one option for each thing that the lab is made of
    ctx: typer.Context,
    *,
    fleet: Annotated[str | None, typer.Option("--fleet", help="Nodes of each tier, such as 2-2-2 or 3-3-3.")] = None,
    plan: Annotated[str | None, typer.Option("--plan", metavar="DIGEST|latest", help="A plan of the stack.")] = None,
    flows: Annotated[int, typer.Option("--flows", min=1, max=20_000, help="Flows at a time.")] = 1000,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=1000, help="Packets per second of each flow.")] = 2.0,
    lifetime: Annotated[float, typer.Option("--lifetime", min=0, help="Seconds of a flow; 0: for ever.")] = 0.0,
    clients: Annotated[int, typer.Option("--clients", min=1, max=60, help="Clients of each VPN.")] = 8,
    assisted: Annotated[int, typer.Option("--assisted", min=0, help="Of them, with a probe of their own.")] = 0,
    mode: Annotated[
        Literal["rehash", "pinned"],
        typer.Option("--mode", help="A live flow whose load balancer target fails: sent to another one, or kept."),
    ] = "rehash",
    folder: Place = None,
) -> None:
    """Start the lab, or take a running one to another plan while its traffic flows. Needs root.

    The nodes get the very files that nodes on AWS get. Without --fleet and --plan: 2-2-2.
    """
    from ecm.lab import Options, World, settle  # noqa: PLC0415 - loads the renderer

    session: Session = ctx.obj
    if fleet and plan:
        raise CommandError("give --fleet or --plan, not both", Code.USAGE)
    if assisted > clients:
        raise CommandError(f"--assisted {assisted}: there are {clients} clients", Code.USAGE)
    options = Options(
        templates=session.root / "templates",
        flows=Flows(count=flows, packets_per_s=rate, lifetime_s=lifetime),
        clients=clients,
        assisted=assisted,
        mode=mode,
    )
    world = World(_folder(session, folder), session.note)
    with session.err.status("lab up"):
        lab = world.up(_desired(session, fleet, plan), options)
        took = settle(world.folder, lab)
    if session.as_json:
        _emit_status(session, world.folder)
        return
    for text in world.left_out:
        session.note(f"left out: {text}")
    session.out.print(
        f"the lab runs: every node healthy after {took:.1f} s; next: ecm lab status, ecm lab drill kill NODE",
        markup=False,
    )


def show_status(ctx: typer.Context, folder: Place = None) -> None:
    """Show how the lab stands: nodes, tunnels, load balancer, clients, and what the traffic of the last 5 s lost."""
    session: Session = ctx.obj
    where = _folder(session, folder)
    if session.as_json:
        _emit_status(session, where)
        return
    from ecm.lab import status  # noqa: PLC0415 - loads the renderer

    found = status(where, where.read())
    table = _table("node", "condition", "health", "tunnels up", "target", right=("health", "tunnels up"))
    for n in found.nodes:
        health = "ok" if n.health == 200 else f"{n.health or 'no answer'} {n.why}".strip()
        table.add_row(n.node, n.condition.value, health, f"{n.tunnels_up}/{n.tunnels}", n.target)
    session.out.print(table)
    ages = [c.handshake_age_s for c in found.clients]
    known = [age for age in ages if age is not None]
    session.out.print(
        f"{len(known)} of {len(ages)} clients connected, oldest handshake {max(known, default=0)} s ago", markup=False
    )
    if found.traffic is not None:
        t = found.traffic
        trip = "no answer" if t.round_trip_p50_ms is None else f"{t.round_trip_p50_ms:.1f} ms there and back"
        session.out.print(
            f"{t.flows} flows, {t.sent_per_s:.0f} packets/s, {t.lost_pct:.2f} % lost in 5 s, {trip}; "
            f"load balancer: {found.mode} (a model, not AWS)",
            markup=False,
        )


def drill(
    ctx: typer.Context,
    how: Annotated[Literal["kill", "freeze", "partition", "cordon", "return"], typer.Argument(help="What to do.")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="SLOT, or SLOT#GENERATION: see ecm lab status.")],
    seconds: Annotated[
        float | None,
        typer.Option("--for", min=2, max=600, help="Seconds to watch; else 8, and 35 for an ingress node."),
    ] = None,
    folder: Place = None,
) -> None:
    """Do something to a node under traffic: how long packets were lost, when, and which nodes took the flows.

    kill cuts the power, freeze stops every process, partition cuts the node off from all others, cordon drains it as a
    plan does, return undoes any of these. The lab stays as the drill leaves it.
    """
    from ecm.lab import Drill, How, Watch, World  # noqa: PLC0415 - loads the renderer

    session: Session = ctx.obj
    world = World(_folder(session, folder), session.note)
    lab = world.folder.read()
    key = node if "#" in node else _only_generation(lab.desired, node)
    ingress = any(key.startswith(f"{vpn.ingress}/") for vpn in lab.desired.vpns)
    span = seconds or (35.0 if ingress and how in ("kill", "freeze", "partition") else 8.0)
    with session.err.status(f"{how} {key}: watching for {span:.0f} s"):
        result = Drill(world, session.root / "templates").run(How(how), key, Watch(after_s=span))
    if session.as_json:
        session.emit(result.model_dump(mode="json"))
        return
    out = session.out
    out.print(f"{how} {key}, which carried {result.carried} of {result.flows} flows", style="bold", markup=False)
    if result.lost:
        out.print(
            f"  lost {result.lost} of {result.sent} packets, all within {result.loss_window_s:.2f} s; a flow's window: "
            f"P50 {result.flow_p50_s:.2f} s, P95 {result.flow_p95_s:.2f} s",
            markup=False,
        )
        out.print(f"  redistributed {result.redistribute_s:.2f} s after the event", markup=False)
    else:
        out.print("  nothing was lost", markup=False)
    out.print(f"  flows through other nodes lost {result.other_lost} of {result.other_sent} packets", markup=False)
    if ingress:
        out.print(f"  load balancer: {result.mode} (a model, not AWS)", markup=False)
    table = _table("node", "before %", "after %", "took %", "by weight %", right=("before %", "after %", "took %"))
    for share in result.shares:
        taken = "" if share.taken_pct is None else f"{share.taken_pct:.1f}"
        wanted = "" if share.expected_pct is None else f"{share.expected_pct:.1f}"
        table.add_row(share.node, f"{share.before_pct:.1f}", f"{share.after_pct:.1f}", taken, wanted)
    out.print(table)


def down(ctx: typer.Context, folder: Place = None) -> None:
    """End the lab and remove everything of it, also what a crash has left."""
    from ecm.lab import World  # noqa: PLC0415 - loads the renderer

    session: Session = ctx.obj
    where = _folder(session, folder)
    was = World(where).down()
    if session.as_json:
        session.emit({"removed": was})
        return
    session.out.print("the lab is gone" if was else f"no lab in {where.path}: nothing to do", markup=False)


def _folder(session: Session, given: Path | None) -> Folder:
    return Folder(given.expanduser() if given else session.root / _FOLDER)


def _desired(session: Session, fleet: str | None, plan: str | None) -> Desired:
    from ecm.lab import built_in  # noqa: PLC0415 - loads the renderer

    if plan is None:
        return built_in(fleet or "2-2-2")
    store = session.store()
    return store.plan(store.find_plan(plan)).desired


def _only_generation(desired: Desired, slot: str) -> str:
    found = [f"{s.id}#{n.generation}" for t in desired.tiers for s in t.slots for n in s.nodes if s.id == slot]
    if len(found) != 1:
        known = ", ".join(s.id for t in desired.tiers for s in t.slots)
        raise CommandError(f"{slot}: " + (f"name one of {', '.join(found)}" if found else f"no such node: {known}"))
    return found[0]


def _emit_status(session: Session, folder: Folder) -> None:
    from ecm.lab import status  # noqa: PLC0415 - loads the renderer

    session.emit(status(folder, folder.read()).model_dump(mode="json"))


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
