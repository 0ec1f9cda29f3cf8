"""Why one way of getting the toolchain did not work."""


class UnavailableError(Exception):
    """One way does not work on this machine; the text says why in a few words."""
