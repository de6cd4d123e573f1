"""YOLO detectors of ultralytics (AGPL-3.0, imported in this folder alone), and detection on fused images."""
