"""What the program loads before it declares anything: each start of the engine pays for it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "from ecm import infra, intent, render, signing, store"
HEAVY = ("boto3", "fastapi", "highspy", "numpy", "pandas", "sktime", "statsmodels", "typer", "uvicorn")


def test_the_program_loads_no_library_of_the_deciding_stages():
    script = f"import sys; {PROGRAM}; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_that_is_what_the_program_imports():
    assert PROGRAM in (ROOT / "__main__.py").read_text()


def test_the_routing_service_loads_no_forecasting_library():
    """It is back soon after a restart, and small."""
    script = (
        "import sys; import ecm.cli.serving; print(*(n for n in ('pandas', 'sktime', 'pulumi') if n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
