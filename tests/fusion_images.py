"""Made triples for the tests of fusion metrics: texture, flat parts, black and saturated pixels."""

import numpy as np


def triple(height=64, width=83, seed=0, colour=False):
    """Return rgb (or luma), thermal and fused, uint8."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = 90 + 60 * np.sin(rows / 5) + 50 * np.cos(columns / 7 + rows / 11)
    rgb = np.stack([waves + shift + random.normal(0, 12, waves.shape) for shift in (-10, 0, 25)], axis=-1)
    thermal = 120 + 90 * np.cos(rows / 9) * np.sin(columns / 4) + random.normal(0, 5, waves.shape)
    thermal[: height // 4, : width // 4] = 200
    thermal[-height // 4 :, : width // 3] = 300
    rgb[: height // 3, -width // 3 :] = -5
    rgb[height // 3 : height // 2, -width // 3 :] = random.integers(
        0, 20, (height // 2 - height // 3, -(-width // 3), 3)
    )
    rgb, thermal = (np.clip(np.rint(image), 0, 255).astype(np.uint8) for image in (rgb, thermal))
    fused = np.clip((rgb.astype(int) * 3 + thermal[..., None] * 2) // 5 + random.integers(-3, 4, rgb.shape), 0, 255)
    fused = fused.astype(np.uint8)
    fused[2:9, :] = thermal[2:9, :, None]
    return (rgb, thermal, fused) if colour else (rgb[..., 1].copy(), thermal, fused[..., 1].copy())
