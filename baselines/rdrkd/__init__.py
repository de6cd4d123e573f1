"""RDR-KD: distillation of features and responses from a large to a small detector for images taken by drones."""
