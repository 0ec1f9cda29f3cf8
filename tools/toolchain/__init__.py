"""Gets a working Pulumi toolchain: found on PATH, else downloaded, else built from its Go module.

Run `python -m tools.toolchain`; see `__main__.py` for what it prints and its exit codes.
"""
