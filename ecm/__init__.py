"""Endpoint Chain Manager: forecasts VPN traffic, sizes chains of VPNe nodes, and reconciles them with Pulumi."""

__version__ = "0.1.0"
