"""What the tests of RDR-KD's losses share: sections as the paper has them, and drawn maps, boxes and views."""

import torch

from rgbt_baselines.rdrkd.loss_config import DecoupledSection, LossSection, RegeneratedSection, ResponsiveSection
from rgbt_baselines.rdrkd.losses import Views

IMAGE_SIZE = 64
REGENERATED = {
    "weight": 1e-5,
    "attention_temperature": 0.5,
    "spatial_threshold": 1.0,
    "channel_threshold": 1.0,
    "area_threshold": 500.0,
}
DECOUPLED = {
    "weight": 0.1,
    "foreground": 0.5,
    "background": 0.5,
    "temperature": 20.0,
    "bias": 0.005,
    "area_unit": "image",
    "background_by": "cells",
    "size_by": "owned",
}
RESPONSIVE = {"weight": 1e-5, "alpha": 0.25, "gamma": 2.0, "min_score": 0.05}
# Overlapping, equal, tiny, huge, partly and wholly outside, of no area; of three images, the second of which has none.
BOXES = [
    (0, (0.5, 0.5, 1.0, 1.0)),
    (0, (0.3, 0.4, 0.3, 0.2)),
    (0, (0.35, 0.45, 0.2, 0.3)),
    (0, (0.35, 0.45, 0.2, 0.3)),
    (0, (0.71, 0.13, 1e-4, 1e-4)),
    (2, (0.98, 0.9, 0.3, 0.5)),
    (2, (0.1, 0.2, 0.05, 0.03)),
    (0, (0.6, 0.6, 0.0, 0.4)),
    (2, (1.5, 0.5, 0.4, 0.4)),
    (2, (0.5, 0.5, 0.0, 0.0)),
    (2, (0.12, 0.21, 0.02, 0.02)),
    (0, (-0.02, 0.5, 0.1, 2.5)),
]
BATCH = 3
SIZES = ((8, 8), (4, 6), (2, 2))


def regenerated(**changed):
    return RegeneratedSection.model_validate({**REGENERATED, **changed})


def decoupled(**changed):
    return DecoupledSection.model_validate({**DECOUPLED, **changed})


def responsive(**changed):
    return ResponsiveSection.model_validate({**RESPONSIVE, **changed})


def section(**weights):
    """The loss with all terms; the weight of each may be another."""
    terms = {"regenerated": REGENERATED, "decoupled": DECOUPLED, "responsive": RESPONSIVE}
    changed = {name: {**one, "weight": weights.get(name, one["weight"])} for name, one in terms.items()}
    return LossSection.model_validate({"box": 7.5, "cls": 0.5, "dfl": 1.5, **changed})


def some_boxes(dtype=torch.float64):
    """The boxes above: [M, 4] and the image of each, [M]."""
    return torch.tensor([box for _, box in BOXES], dtype=dtype), torch.tensor([image for image, _ in BOXES])


def random_boxes(count, seed, batch=BATCH):
    """Boxes of all sizes, many of them partly outside and some wholly, float64."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 1.2 - 0.1
    sizes = 10 ** (torch.rand(count, 2, generator=generator, dtype=torch.float64) * 3.2 - 3)
    return torch.cat([centres, sizes], 1), torch.randint(0, batch, (count,), generator=generator)


def draw(seed, *shape, dtype=torch.float64):
    """Normal numbers as a leaf, so that its gradient can be looked at."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def features(seed, channels, batch=BATCH, dtype=torch.float64):
    """A feature map a level, of `channels`, or of as many as there are for each level."""
    widths = [channels] * len(SIZES) if isinstance(channels, int) else channels
    return [draw(seed + i, batch, widths[i], *size, dtype=dtype) for i, size in enumerate(SIZES)]


def corners(seed, places=7, batch=BATCH, dtype=torch.float64):
    """Boxes as x1, y1, x2, y2 in pixels, (B, P, 4)."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(batch, places, 2, generator=generator, dtype=torch.float64) * 40
    sides = torch.rand(batch, places, 2, generator=generator, dtype=torch.float64) * 20 + 1
    return torch.cat([low, low + sides], 2).to(dtype).requires_grad_()


def views(seed, channels, dtype=torch.float64):
    """What the losses see of a detector of 4 classes at 7 places."""
    return Views(
        features(seed, channels, dtype=dtype), draw(seed + 50, BATCH, 7, 4, dtype=dtype), corners(seed, dtype=dtype)
    )
