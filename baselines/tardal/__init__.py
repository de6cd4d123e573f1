"""TarDAL: target-aware dual adversarial learning, fusion for detection (Liu et al., CVPR 2022)."""
