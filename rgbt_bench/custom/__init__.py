"""A user's own pairs, described by a small YAML file."""
