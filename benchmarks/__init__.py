"""Figures, each against a named peer or bound, one command each; `--quick` is the profile for CI."""
