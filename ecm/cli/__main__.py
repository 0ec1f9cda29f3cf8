"""`python -m ecm.cli`."""

from ecm.cli.main import main

main()
