"""What fusion submissions share: controls, the base class, and classical operators."""
