"""A language host: lets the Pulumi engine run Python programs, for machines without the official distribution.

The engine starts a program named `pulumi-language-python` and calls the gRPC service `LanguageRuntime` on it.
This one needs only the Python SDK (`pulumi`) of the project and runs offline: it installs nothing.
"""
