"""The entry of a VPN: a network load balancer with a static address per zone, a target group per class, its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, ec2, lb, route53

from ecm.infra.naming import Labels, physical_name
from ecm.infra.network import Network
from ecm.model.contract import HEALTH_PATH, HEALTH_PORT
from ecm.model.links import Topic, link
from ecm.model.plan import ClassPlan, VpnPlan

HEALTH_INTERVAL_S = 5
HEALTH_TIMEOUT_S = 2
HEALTH_THRESHOLD = 2
"""The fastest check that a network load balancer offers: a dead node is out after 7 to 12 s."""
DEREGISTRATION_S = 120
"""Idle time after which a network load balancer forgets a UDP flow."""


@dataclass(frozen=True)
class EntrySpec:
    """What an entry is made from."""

    labels: Labels
    plan: VpnPlan
    classes: tuple[ClassPlan, ...]
    network: Network
    targets: Mapping[str, pulumi.Input[str]]
    """Instance of every node of the ingress tier, draining ones too, by the node's name."""
    draining: int
    """Nodes that answer their health check with 503 on purpose."""
    health_checks: Sequence[pulumi.Input[str]]
    """Of the VPN's chains."""


class Entry(pulumi.ComponentResource):
    """`ecm:aws:Entry`: where the clients of one VPN come in."""

    def __init__(self, name: str, spec: EntrySpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ecm:aws:Entry", name, None, opts)
        self._name = name
        self._spec = spec
        self._opts = pulumi.ResourceOptions(parent=self)
        self.addresses = {zone: self._address(zone) for zone, _ in spec.network.entry_subnets}
        self.load_balancer = self._load_balancer()
        self.alarms: dict[str, cloudwatch.MetricAlarm] = {}
        """By class."""
        self.target_groups = {c.id: self._class(c) for c in spec.classes}
        self.record = self._record()
        self.register_outputs({"dnsName": self.load_balancer.dns_name})

    def _tags(self, name: str) -> dict[str, str]:
        return self._spec.labels.tags("entry", name)

    def _address(self, zone: str) -> ec2.Eip:
        name = f"{self._name}/{zone}"
        return ec2.Eip(name, domain="vpc", tags=self._tags(name), opts=self._opts)

    def _load_balancer(self) -> lb.LoadBalancer:
        """In every zone of the stack, with nodes in it or not: its addresses must not come and go with the nodes."""
        return lb.LoadBalancer(
            self._name,
            name=physical_name(self._spec.labels.stack, self._name),
            load_balancer_type="network",
            internal=False,
            ip_address_type="ipv4",
            enable_cross_zone_load_balancing=False,
            subnet_mappings=[
                lb.LoadBalancerSubnetMappingArgs(subnet_id=subnet.id, allocation_id=self.addresses[zone].allocation_id)
                for zone, subnet in self._spec.network.entry_subnets
            ],
            tags=self._tags(self._name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._spec.network.internet_route]),
        )

    def _class(self, traffic: ClassPlan) -> lb.TargetGroup:
        name = f"{self._name}/{traffic.id}"
        group = self._target_group(name, traffic)
        targets = [
            lb.TargetGroupAttachment(
                f"{node}/{traffic.id}",
                target_group_arn=group.arn,
                target_id=instance,
                port=traffic.listener_port,
                opts=self._opts,
            )
            for node, instance in sorted(self._spec.targets.items())
        ]
        lb.Listener(
            name,
            load_balancer_arn=self.load_balancer.arn,
            port=traffic.listener_port,
            protocol="UDP",
            default_actions=[lb.ListenerDefaultActionArgs(type="forward", target_group_arn=group.arn)],
            tags=self._tags(name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=targets),
        )
        self.alarms[traffic.id] = self._alarm(name, group)
        return group

    def _target_group(self, name: str, traffic: ClassPlan) -> lb.TargetGroup:
        return lb.TargetGroup(
            name,
            # The port is part of the name: another port is another group, made before the old one goes.
            name=physical_name(self._spec.labels.stack, self._name, traffic.id, str(traffic.listener_port)),
            port=traffic.listener_port,
            protocol="UDP",
            target_type="instance",
            vpc_id=self._spec.network.vpc_id,
            deregistration_delay=DEREGISTRATION_S,
            connection_termination=False,
            preserve_client_ip="true",
            stickiness=lb.TargetGroupStickinessArgs(type="source_ip", enabled=False),
            health_check=lb.TargetGroupHealthCheckArgs(
                protocol="HTTP",
                port=str(HEALTH_PORT),
                path=HEALTH_PATH,
                matcher="200",
                interval=HEALTH_INTERVAL_S,
                timeout=HEALTH_TIMEOUT_S,
                healthy_threshold=HEALTH_THRESHOLD,
                unhealthy_threshold=HEALTH_THRESHOLD,
            ),
            tags=self._tags(name),
            opts=self._opts,
        )

    def _alarm(self, name: str, group: lb.TargetGroup) -> cloudwatch.MetricAlarm:
        return cloudwatch.MetricAlarm(
            name.replace("/", "-targets-"),
            namespace="AWS/NetworkELB",
            metric_name="UnHealthyHostCount",
            dimensions={"LoadBalancer": self.load_balancer.arn_suffix, "TargetGroup": group.arn_suffix},
            statistic="Maximum",
            comparison_operator="GreaterThanThreshold",
            threshold=float(self._spec.draining),
            period=60,
            evaluation_periods=2,
            datapoints_to_alarm=2,
            treat_missing_data="notBreaching",
            alarm_description=f"Unhealthy nodes behind {name}, draining ones not counted: {link(Topic.ALARM_TARGETS)}",
            tags=self._tags(name),
            opts=self._opts,
        )

    def _record(self) -> route53.Record | None:
        """Weighted, so that an entry of the same VPN elsewhere can stand beside it; listeners come first."""
        zone, host = self._spec.network.zone, self._spec.plan.host
        if zone is None or host is None:
            return None
        health = route53.HealthCheck(
            self._name,
            type="CALCULATED",
            child_healthchecks=list(self._spec.health_checks),
            child_health_threshold=1,
            tags=self._tags(self._name),
            opts=self._opts,
        )
        return route53.Record(
            self._name,
            zone_id=zone.zone_id,
            name=host,
            type="A",
            aliases=[
                route53.RecordAliasArgs(
                    name=self.load_balancer.dns_name, zone_id=self.load_balancer.zone_id, evaluate_target_health=True
                )
            ],
            set_identifier=f"{self._spec.labels.stack}-{self._name}",
            weighted_routing_policies=[route53.RecordWeightedRoutingPolicyArgs(weight=100)],
            health_check_id=health.id,
            opts=self._opts,
        )
