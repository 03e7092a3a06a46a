"""The versions that are told to the daemon."""

#: The version of the package. pyproject.toml has it, too, and a test compares them: the daemon runs the
#: sources as they are, without installed metadata.
VERSION = "0.1.0"
#: The version of the wire.
PROTOCOL = 1
SOFTWARE = f"coattail-python/{VERSION}"
