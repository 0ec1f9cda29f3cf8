"""The policy pack's entry. Nothing may be printed: standard output is the protocol's."""

import sys
from pathlib import Path

import pulumi_policy

sys.dont_write_bytecode = True  # a preview leaves nothing behind, not beside the policies either
from adapter import policies  # noqa: E402

pulumi_policy.PolicyPack("ecm-guardrails", policies=policies(Path(__file__).resolve().parents[2]))
