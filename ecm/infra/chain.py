"""A chain: the VPC's routes to its nodes, and its health from end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, ec2, route53

from ecm.infra.naming import Labels
from ecm.infra.network import RouteTarget
from ecm.model.contract import METRIC_NAMESPACE, PROBE_METRIC
from ecm.model.links import Topic, link
from ecm.model.plan import ChainPlan, VpcRoute

PROBE_PERIOD_S = 60
"""The shortest period of a standard-resolution metric."""
PROBE_PERIODS = 3


@dataclass(frozen=True)
class ChainSpec:
    """What a chain is made from."""

    labels: Labels
    region: str
    plan: ChainPlan
    routes: tuple[VpcRoute, ...]
    """Routes of the VPC to nodes of the chain's tiers that are this chain's to declare."""
    interfaces: Mapping[str, pulumi.Input[str]]
    """Network interface of each route's node, by the route's id."""


class Chain(pulumi.ComponentResource):
    """`ecm:aws:Chain`: routes and health over the chain's tiers."""

    def __init__(self, name: str, spec: ChainSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ecm:aws:Chain", name, None, opts)
        self._name = name
        self._spec = spec
        self._opts = pulumi.ResourceOptions(parent=self)
        self.routes = {route.id: self._route(route) for route in spec.routes}
        self.alarm = self._alarm()
        self.health_check = route53.HealthCheck(
            name,
            type="CLOUDWATCH_METRIC",  # the nodes have no public address that Route 53 could ask
            cloudwatch_alarm_name=self.alarm.name,
            cloudwatch_alarm_region=spec.region,
            insufficient_data_health_status="LastKnownStatus",
            tags=spec.labels.tags("chain", name),
            opts=self._opts,
        )
        self.register_outputs({"healthCheckId": self.health_check.id})

    def _route(self, route: VpcRoute) -> RouteTarget:
        """A route keeps its name when another node takes it over: EC2 replaces the target in place."""
        target = self._spec.interfaces[route.id]
        ec2.Route(
            route.id,
            route_table_id=route.route_table,
            destination_cidr_block=str(route.destination),
            network_interface_id=target,
            opts=self._opts,
        )
        return RouteTarget(route.route_table, str(route.destination), target)

    def _alarm(self) -> cloudwatch.MetricAlarm:
        """Half of the entry's nodes without a way in each of three minutes, or none that says so: none is alive."""
        return cloudwatch.MetricAlarm(
            f"chain-{self._name}",
            namespace=METRIC_NAMESPACE,
            metric_name=PROBE_METRIC,
            dimensions={"Stack": self._spec.labels.stack, "Chain": self._name},
            statistic="Average",
            comparison_operator="LessThanThreshold",
            threshold=0.5,
            period=PROBE_PERIOD_S,
            evaluation_periods=PROBE_PERIODS,
            datapoints_to_alarm=PROBE_PERIODS,
            treat_missing_data="breaching",
            alarm_description=f"End-to-end probe of the chain {self._name}: {link(Topic.ALARM_CHAIN)}",
            tags=self._spec.labels.tags("chain", self._name),
            opts=self._opts,
        )
