"""The node agent, `ecm agent`: applies signed configuration without dropping sessions, and answers for its health.

An entry point like the command line, light enough for every node: it needs the base installation only.
"""
