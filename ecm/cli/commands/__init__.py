"""The commands, by what they are about: decide, apply, check, load, schema, demo."""
