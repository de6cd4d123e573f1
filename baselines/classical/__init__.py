"""Fusion without learning: the trivial ones, which are controls, and the Laplacian pyramid."""
