"""`python -m ecm.cli`."""

from ecm.cli import main

main()
