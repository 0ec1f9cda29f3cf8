"""The policy pack's entry. Nothing may be printed: standard output is the protocol's."""

from pathlib import Path

import pulumi_policy
from adapter import policies

pulumi_policy.PolicyPack("ecm-guardrails", policies=policies(Path(__file__).resolve().parents[2]))
