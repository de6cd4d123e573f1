"""IFCNN: a general image fusion framework based on a convolutional network (Information Fusion 54, 2020)."""
