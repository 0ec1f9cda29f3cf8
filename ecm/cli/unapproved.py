"""The engine's preview of a plan that nobody has approved: from a configuration file that lasts as long as that.

Neither the stack's own configuration nor its state is written. A stack that does not exist yet is previewed in a
backend that is thrown away: making it is for the first `ecm preview` or `ecm up`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecm.cli.session import Session
from ecm.cli.settings import reviewed_text
from ecm.cli.standing import engine_stack
from ecm.engine import Options, Stack
from ecm.model.plan import Plan


@contextmanager
def reviewed(session: Session, plan: Plan, stack: Stack | None) -> Iterator[tuple[Stack, Options]]:
    """Yield a stack and the options under which its preview is that of `plan`; no `stack`: it does not exist yet."""
    with tempfile.TemporaryDirectory(prefix="ecm-review-") as held:
        folder = Path(held)
        approved = session.settings.approved == plan.digest
        text = reviewed_text(session.root, session.stack, None if approved else plan.digest, new=stack is None)
        if stack is not None:
            config = folder / f"Pulumi.{session.stack}.yaml"
            config.write_text(text, encoding="utf-8")
            yield stack, Options(config_file=config)
            return
        made = _project(session, folder, text)
        made.select(create=True)
        yield made, Options()


def _project(session: Session, folder: Path, config: str) -> Stack:
    """Make a project that runs the real one's program, in a backend of its own."""
    shutil.copy(session.root / "Pulumi.yaml", folder / "Pulumi.yaml")
    for name in ("__main__.py", ".venv"):
        if (session.root / name).exists():
            (folder / name).symlink_to(session.root / name)
    (folder / "stacks").mkdir()
    (folder / "stacks" / f"Pulumi.{session.stack}.yaml").write_text(config, encoding="utf-8")
    (folder / "state").mkdir()
    own = {"PULUMI_BACKEND_URL": f"file://{folder / 'state'}", "PULUMI_CONFIG_PASSPHRASE": "thrown away"}
    env = {k: v for k, v in session.env.items() if k != "PULUMI_CONFIG_PASSPHRASE_FILE"}
    real = engine_stack(session)
    return Stack(real.toolchain, folder, session.stack, {**env, **own})
