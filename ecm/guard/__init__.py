"""Guard: holds a drafted plan against limits.yaml; over a limit nothing is applied, and the verdict says which."""

from ecm.guard.check import Draft, check
from ecm.guard.usage import Usage, usage

__all__ = ["Draft", "Usage", "check", "usage"]
