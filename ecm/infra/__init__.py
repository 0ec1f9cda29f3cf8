"""The Pulumi side of ECM: the gate, and the declaration of a plan with pulumi-aws. It decides nothing."""

from ecm.infra.adopted import adopt
from ecm.infra.config import Signed
from ecm.infra.gate import (
    GateRefused,
    Settings,
    applied_digest,
    check_content,
    check_gate,
    check_rendered,
    refusing,
    settings,
    signature,
)
from ecm.infra.program import declare

__all__ = [
    "GateRefused",
    "Settings",
    "Signed",
    "adopt",
    "applied_digest",
    "check_content",
    "check_gate",
    "check_rendered",
    "declare",
    "refusing",
    "settings",
    "signature",
]
