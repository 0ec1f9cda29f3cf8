"""Measures on a real AWS account whether a network load balancer moves a live UDP flow when its target turns unhealthy.

    python -m benchmarks.aws_flow_rehash --region R --subnet subnet-... --image ami-...          what it would do
    python -m benchmarks.aws_flow_rehash --region R --subnet subnet-... --image ami-... --run    does it

The answer decides which of the two models of the lab, flow re-hashed or flow pinned until 120 s idle, an account has.
Not part of `make bench`: it needs an account and costs money, about 0.05 USD an hour while it runs (two t4g.nano, one
load balancer, one public address); it removes everything that it made, also when it is interrupted. Run it on a machine
that reaches the load balancer by UDP port 51820; the subnet must be public, the image Debian or Ubuntu for arm64 with
Python 3 and cloud-init.

Each target echoes its own name. A flow (one source port) sends every 100 ms; then the target that answers it `fails`
its health check (HTTP 503) while its echo stays alive, and in every other run `freezes` altogether. Recorded are the
time from then until AWS reports it as not healthy, and until the other target answers the flow; null: not in --wait-s.
"""

from __future__ import annotations

import argparse
import base64
import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

UDP_PORT, HEALTH_PORT = 51820, 8080
USD_PER_HOUR = {"two t4g.nano": 0.0084, "network load balancer": 0.0225, "public IPv4 addresses": 0.015}
SERVER = """#!/usr/bin/python3
import http.server, socket, threading, time
name = "NAME"
until = {"fails": 0.0, "freezes": 0.0}
def now(what): return time.monotonic() < until[what]
def echo():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 51820))
    while True:
        words, who = s.recvfrom(2000)
        words = words.decode().split()
        if len(words) == 3 and words[1] == name: until[words[0]] = time.monotonic() + float(words[2])
        if not now("freezes"): s.sendto(name.encode(), who)
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if now("freezes"): time.sleep(10)
        self.send_response(503 if now("fails") or now("freezes") else 200)
        self.end_headers()
    def log_message(self, *_): pass
threading.Thread(target=echo, daemon=True).start()
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Health).serve_forever()
"""


@dataclass
class Ground:
    """What was made, and how it is removed again, last first."""

    clients: Any
    stack: ExitStack
    names: dict[str, str] = field(default_factory=dict)
    """Instance id by the name that it echoes."""


def main(arguments: list[str]) -> int:
    """Say what would be done, or do it; the last line is JSON."""
    given = _parser().parse_args(arguments)
    hours = (300 + given.runs * (given.wait_s + 60)) / 3600
    cost = sum(USD_PER_HOUR.values()) * hours
    print(f"makes in {given.region}: 2 instances t4g.nano, 1 security group, 1 network load balancer, 1 target group")
    print(f"takes about {hours * 60:.0f} min and costs about {cost:.2f} USD; removes everything afterwards")
    if not given.run:
        print("nothing was done: add --run")
        print(json.dumps({"dry_run": True, "expected_minutes": round(hours * 60), "expected_usd": round(cost, 2)}))
        return 0
    with ExitStack() as stack:
        ground, target = _make(given, stack)
        samples = [_measure(given, (ground, target), ("fails", "freezes")[n % 2]) for n in range(given.runs)]
    moved = [s["moved_s"] for s in samples]
    print(json.dumps({"samples": samples, "rehashed": all(m is not None for m in moved), "moved_s": moved}))
    return 0


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.aws_flow_rehash", description=__doc__, formatter_class=form
    )
    parser.add_argument("--region", required=True)
    parser.add_argument("--subnet", required=True, help="a public subnet")
    parser.add_argument("--image", required=True, help="AMI with Python 3 and cloud-init, arm64")
    parser.add_argument("--runs", type=int, default=4, help="failures to inject (4)")
    parser.add_argument("--wait-s", type=int, default=200, help="how long a flow is watched after a failure (200)")
    parser.add_argument("--run", action="store_true", help="do it; without this only the plan is printed")
    return parser


def _make(given: argparse.Namespace, stack: ExitStack) -> tuple[Ground, dict[str, str]]:
    import boto3  # noqa: PLC0415 - a dry run needs no AWS

    session = boto3.Session(region_name=given.region)
    ec2, elb = session.client("ec2"), session.client("elbv2")
    ground = Ground((ec2, elb), stack)
    vpc = ec2.describe_subnets(SubnetIds=[given.subnet])["Subnets"][0]["VpcId"]
    group = ec2.create_security_group(
        GroupName=f"ecm-flow-{int(time.monotonic())}", Description="ECM: flow test", VpcId=vpc
    )
    stack.callback(_later, lambda: ec2.delete_security_group(GroupId=group["GroupId"]))
    ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"],
        IpPermissions=[
            {"IpProtocol": p, "FromPort": n, "ToPort": n, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            for p, n in (("udp", UDP_PORT), ("tcp", HEALTH_PORT))
        ],
    )
    for name in ("left", "right"):
        ground.names[name] = _instance(given, ground, name, group["GroupId"])
    ec2.get_waiter("instance_running").wait(InstanceIds=list(ground.names.values()))
    return ground, _balancer(given, ground, vpc)


def _instance(given: argparse.Namespace, ground: Ground, name: str, group: str) -> str:
    ec2 = ground.clients[0]
    script = base64.b64encode(SERVER.replace("NAME", name).encode()).decode()
    made = ec2.run_instances(
        ImageId=given.image, InstanceType="t4g.nano", MinCount=1, MaxCount=1, SubnetId=given.subnet,
        SecurityGroupIds=[group], MetadataOptions={"HttpTokens": "required"},
        UserData=f"#!/bin/sh\necho {script} | base64 -d > /run/echo.py && exec python3 /run/echo.py\n",
    )  # fmt: skip
    instance: str = made["Instances"][0]["InstanceId"]

    def remove() -> None:
        ec2.terminate_instances(InstanceIds=[instance])
        ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance])

    ground.stack.callback(remove)
    return instance


def _balancer(given: argparse.Namespace, ground: Ground, vpc: str) -> dict[str, str]:
    elb = ground.clients[1]
    made = elb.create_load_balancer(Name=f"ecm-flow-{int(time.monotonic())}", Type="network", Subnets=[given.subnet])
    balancer = made["LoadBalancers"][0]
    targets = elb.create_target_group(
        Name=f"ecm-flow-{int(time.monotonic())}", Protocol="UDP", Port=UDP_PORT, VpcId=vpc, HealthCheckProtocol="HTTP",
        HealthCheckPort=str(HEALTH_PORT), HealthCheckPath="/healthz", HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2, UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    ground.stack.callback(_later, lambda: elb.delete_target_group(TargetGroupArn=targets))
    ground.stack.callback(elb.delete_load_balancer, LoadBalancerArn=balancer["LoadBalancerArn"])
    elb.register_targets(TargetGroupArn=targets, Targets=[{"Id": i} for i in ground.names.values()])
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="UDP", Port=UDP_PORT,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
    )  # fmt: skip
    elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[balancer["LoadBalancerArn"]])
    elb.get_waiter("target_in_service").wait(TargetGroupArn=targets)
    return {"group": targets, "host": balancer["DNSName"]}


def _later(remove: Callable[[], Any]) -> None:
    """Remove something that AWS says is in use for a while."""
    for attempt in range(30):
        try:
            remove()
        except Exception as error:
            if attempt == 29:
                print(f"NOT removed, do it by hand: {error}", file=sys.stderr)
            time.sleep(10)
        else:
            return


def _measure(given: argparse.Namespace, made: tuple[Ground, dict[str, str]], how: str) -> dict[str, Any]:
    """Fail the target that answers one flow, and return when AWS noticed and when the other one answered the flow."""
    ground, target = made
    elb = ground.clients[1]
    elb.get_waiter("target_in_service").wait(TargetGroupArn=target["group"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.settimeout(0.1)
        flow.connect((socket.gethostbyname(target["host"]), UDP_PORT))
        first = _until_answer(flow)
        flow.send(f"{how} {first} {given.wait_s + 20}".encode())
        began = asked = time.monotonic()
        noticed = moved = None
        while time.monotonic() - began < given.wait_s and (noticed is None or moved is None):
            answer = _ask(flow)
            if moved is None and answer not in (None, first):
                moved = round(time.monotonic() - began, 1)
            if noticed is None and time.monotonic() - asked > 1:
                asked = time.monotonic()
                state = elb.describe_target_health(
                    TargetGroupArn=target["group"], Targets=[{"Id": ground.names[first]}]
                )
                if state["TargetHealthDescriptions"][0]["TargetHealth"]["State"] != "healthy":
                    noticed = round(time.monotonic() - began, 1)
    time.sleep(max(0.0, given.wait_s + 30 - (time.monotonic() - began)))
    return {"how": how, "noticed_s": noticed, "moved_s": moved}


def _ask(flow: socket.socket) -> str | None:
    try:
        flow.send(b"?")
        return flow.recv(100).decode()
    except OSError:
        return None


def _until_answer(flow: socket.socket) -> str:
    for _ in range(600):
        answer = _ask(flow)
        if answer:
            return answer
        time.sleep(0.1)
    raise SystemExit("no answer from the load balancer within a minute: is UDP port 51820 open on the way?")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
