import math

import pytest
import torch
from torch import nn

import rdrkd_reference as reference
from rdrkd_cases import BATCH, IMAGE_SIZE, SIZES, draw, features, random_boxes, regenerated, some_boxes
from rgbt_baselines.rdrkd.attention import channel_attention, spatial_attention
from rgbt_baselines.rdrkd.boxes import box_map
from rgbt_baselines.rdrkd.regenerated import Regeneration, key_pixel_masks, regenerated_loss

NO_BOXES = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
NOTHING_HIDDEN = {"spatial_threshold": 1e9, "channel_threshold": 1e9, "area_threshold": 0.0}


def maps_of(boxes, images, levels):
    return [box_map(boxes, images, len(one), *one.shape[2:]) for one in levels]


def modules(channels=3, seed=0):
    torch.manual_seed(seed)
    return nn.ModuleList(Regeneration(channels) for _ in SIZES).double()


def identity(channels, spatial=1.0, channel=1.0):
    """A Regeneration whose modules multiply what is positive by a number."""
    module = Regeneration(channels).double()
    for part, factor in ((module.spatial, spatial), (module.channel, channel)):
        for layer, value in ((part[0], 1.0), (part[2], factor)):
            nn.init.zeros_(layer.bias)
            nn.init.zeros_(layer.weight)
            middle = layer.kernel_size[0] // 2
            for i in range(channels):
                layer.weight.data[i, i, middle, middle] = value
    return module


def test_attention_of_two_cells_and_two_channels_by_hand():
    # |F| is 1, 3 in the first channel and 1, 5 in the second; T = 2
    maps = torch.tensor([[[[1.0, -3.0]], [[1.0, 5.0]]]], dtype=torch.float64)
    low, high = math.exp(1 / 2), math.exp(4 / 2)  # means over channels
    expected = [2 * low / (low + high), 2 * high / (low + high)]
    assert spatial_attention(maps, 2.0).flatten().tolist() == pytest.approx(expected, rel=1e-12)
    low, high = math.exp(2 / 2), math.exp(3 / 2)  # means over cells
    expected = [2 * low / (low + high), 2 * high / (low + high)]
    assert channel_attention(maps, 2.0).flatten().tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 10.0])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_attention_sums_to_the_cells_and_to_the_channels_of_each_image(temperature, scale):
    maps = draw(0, 4, 5, 3, 6).detach() * scale
    spatial, channel = spatial_attention(maps, temperature), channel_attention(maps, temperature)
    assert spatial.shape == (4, 1, 3, 6)
    assert channel.shape == (4, 5, 1, 1)
    assert spatial.sum((1, 2, 3)).tolist() == pytest.approx([18] * 4, rel=1e-12)
    assert channel.sum((1, 2, 3)).tolist() == pytest.approx([5] * 4, rel=1e-12)


def test_attention_of_half_precision_is_that_of_float32_also_within_autocast():
    maps = draw(0, 2, 5, 8, 8, dtype=torch.float16).detach() * 1000
    for one in (spatial_attention, channel_attention):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = one(maps, 0.5)
        assert found.dtype == torch.float32
        assert torch.equal(found, one(maps.float(), 0.5))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"spatial_threshold": 0.6},
        {"spatial_threshold": 1e9},
        {"channel_threshold": 0.9},
        {"channel_threshold": 0.0},
        {"area_threshold": 0.0},
        {"area_threshold": 40.0},
        {"area_threshold": 1e9},
        {"attention_temperature": 0.05},
        NOTHING_HIDDEN,
    ],
)
def test_masks_by_loops(changed):
    settings = regenerated(**changed)
    boxes, images = some_boxes()
    for level in features(3, 3):
        spatial, channel = key_pixel_masks(level, maps_of(boxes, images, [level])[0], IMAGE_SIZE, settings)
        assert spatial.dtype == channel.dtype == torch.bool
        for image in range(BATCH):
            of_image = boxes[images == image].tolist()
            rows, channels = reference.masks(level[image].tolist(), of_image, IMAGE_SIZE, settings)
            assert spatial[image, 0].long().tolist() == rows
            assert channel[image].flatten().long().tolist() == channels


def test_each_threshold_hides_what_it_should():
    """Attention of 2/3 and 4/3: cells differ by ln 2 in the mean over channels, channels in the mean over cells."""
    step = math.log(2) * 0.5
    maps = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    maps[0, :, 0] = step  # the upper row
    maps[0, 1] += step
    boxes = box_map(torch.tensor([[0.25, 0.75, 0.5, 0.5]]), torch.tensor([0]), 1, 2, 2)  # lower left: 32 x 32 pixels

    def hidden(**changed):
        spatial, channel = key_pixel_masks(maps, boxes, 64, regenerated(**changed))
        return (~spatial).long().flatten().tolist(), (~channel).long().flatten().tolist()

    assert hidden() == ([1, 1, 0, 0], [0, 1])
    assert hidden(spatial_threshold=1.34) == ([0, 0, 0, 0], [0, 1])
    assert hidden(spatial_threshold=0.66) == ([1, 1, 1, 1], [0, 1])
    assert hidden(channel_threshold=1.34) == ([1, 1, 0, 0], [0, 0])
    assert hidden(channel_threshold=0.66) == ([1, 1, 0, 0], [1, 1])
    assert hidden(area_threshold=1024.0) == ([1, 1, 0, 0], [0, 1])  # below, not at
    assert hidden(area_threshold=1025.0) == ([1, 1, 1, 0], [0, 1])


def test_attention_at_its_threshold_hides_nothing():
    """Equal features have an attention of 1."""
    maps = torch.ones(1, 4, 8, 8)
    spatial, channel = key_pixel_masks(maps, box_map(*NO_BOXES, 1, 8, 8), 64, regenerated())
    assert spatial.all()
    assert channel.all()


def test_a_small_box_is_hidden_under_a_large_one_and_under_a_smaller():
    boxes = torch.tensor([[0.5, 0.5, 1.0, 1.0], [0.25, 0.25, 0.3, 0.3], [0.2, 0.2, 0.05, 0.05]])
    found = box_map(boxes, torch.zeros(3, dtype=torch.int64), 1, 10, 10)
    spatial, _ = key_pixel_masks(torch.zeros(1, 2, 10, 10), found, 64, regenerated(spatial_threshold=2.0))
    assert (~spatial).sum() == 9  # the second's 3x3, some of which are the third's; the first has 4096 pixels
    assert not spatial[0, 0, 1:4, 1:4].any()


def test_the_loss_of_modules_that_copy_by_hand():
    """2 cells, 1 channel: the masks hide the first cell, and the channel when its threshold is below 1."""
    student = torch.tensor([[[[2.0, 3.0]]]], dtype=torch.float64)
    teacher = torch.tensor([[[[9.0, 4.0]]]], dtype=torch.float64)
    empty = maps_of(*NO_BOXES, [teacher])
    copying = [identity(1, spatial=1.0, channel=10.0)]
    # spatial part (0, 3) and channel part 10 * (2, 3): made (20, 33)
    found = regenerated_loss([student], [teacher], copying, empty, 64, regenerated())
    assert found.item() == pytest.approx((9 - 20) ** 2 + (4 - 33) ** 2)
    # the only channel's attention is 1, and hidden: made (0, 3)
    found = regenerated_loss([student], [teacher], copying, empty, 64, regenerated(channel_threshold=0.9))
    assert found.item() == pytest.approx(9**2 + (4 - 3) ** 2)
    # two levels are added, two images averaged
    twice = [torch.cat([student, student])] * 2, [torch.cat([teacher, teacher])] * 2
    found = regenerated_loss(*twice, copying * 2, maps_of(*NO_BOXES, twice[1]), 64, regenerated())
    assert found.item() == pytest.approx(2 * ((9 - 20) ** 2 + (4 - 33) ** 2))


def convolved(rows, layer):
    """A convolution of [channel][row][column] by loops."""
    side, weight, bias = layer.kernel_size[0], layer.weight.tolist(), layer.bias.tolist()
    height, width, pad = len(rows[0]), len(rows[0][0]), side // 2

    def at(out, row, column):
        total = bias[out]
        for k, dy, dx in ((k, dy, dx) for k in range(len(rows)) for dy in range(side) for dx in range(side)):
            y, x = row + dy - pad, column + dx - pad
            if 0 <= y < height and 0 <= x < width:
                total += weight[out][k][dy][dx] * rows[k][y][x]
        return total

    return [[[at(out, row, column) for column in range(width)] for row in range(height)] for out in range(len(bias))]


def made(rows, part):
    hidden = [[[max(value, 0.0) for value in row] for row in one] for one in convolved(rows, part[0])]
    return convolved(hidden, part[2])


@pytest.mark.parametrize("changed", [{}, {"area_threshold": 60.0, "spatial_threshold": 1.3}, NOTHING_HIDDEN])
@pytest.mark.parametrize("hard", [False, True])
def test_the_loss_by_loops(changed, hard):
    settings, parts = regenerated(**changed), modules()
    boxes, images = some_boxes() if hard else random_boxes(12, 5)
    students, teachers = features(0, 3), features(9, 3)
    total = 0.0
    for student, teacher, part in zip(students, teachers, parts, strict=True):
        for image in range(BATCH):
            s, t = student[image].tolist(), teacher[image].tolist()
            spatial, channel = reference.masks(t, boxes[images == image].tolist(), IMAGE_SIZE, settings)
            cells = [(k, y, x) for k in range(3) for y in range(len(spatial)) for x in range(len(spatial[0]))]
            by_cell = [
                [[v * m for v, m in zip(*rows, strict=True)] for rows in zip(one, spatial, strict=True)] for one in s
            ]
            by_channel = [[[v * channel[k] for v in row] for row in one] for k, one in enumerate(s)]
            first, second = made(by_cell, part.spatial), made(by_channel, part.channel)
            total += sum((t[k][y][x] - first[k][y][x] - second[k][y][x]) ** 2 for k, y, x in cells) / BATCH
    found = regenerated_loss(students, teachers, parts, maps_of(boxes, images, students), IMAGE_SIZE, settings)
    assert found.item() == pytest.approx(total, rel=1e-9)


def test_gradients_reach_the_student_and_the_modules_and_never_the_teacher():
    students, teachers, parts = features(0, 3), features(9, 3), modules()
    maps = maps_of(*some_boxes(), students)
    regenerated_loss(students, teachers, parts, maps, IMAGE_SIZE, regenerated()).backward()
    assert all(one.grad is not None and one.grad.abs().max() > 0 for one in (*students, *parts.parameters()))
    assert all(one.grad is None for one in teachers)


def test_the_gradient_is_that_of_finite_differences():
    teacher, part = [draw(9, 2, 2, 3, 4).detach()], [identity(2, 0.7, 0.4)]
    torch.manual_seed(1)
    for weight in part[0].parameters():
        weight.data.add_(torch.rand_like(weight))  # positive, so that no ReLU is at its corner
    maps = maps_of(*random_boxes(3, 0, 2), teacher)
    student = (draw(0, 2, 2, 3, 4).detach().abs() + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda one: regenerated_loss([one], teacher, part, maps, IMAGE_SIZE, regenerated()), student
    )


@pytest.mark.parametrize("channels", [1, 8, 32])
def test_the_modules_have_the_parameters_of_four_convolutions(channels):
    count = sum(one.numel() for one in Regeneration(channels).parameters())
    assert count == 2 * (9 * channels**2 + channels) + 2 * (channels**2 + channels)
    maps = torch.randn(2, channels, 5, 7)
    made_anew = Regeneration(channels)(maps, torch.ones(2, 1, 5, 7), torch.ones(2, channels, 1, 1))
    assert made_anew.shape == maps.shape


def test_levels_that_do_not_go_together_are_refused():
    students, teachers, parts = features(0, 3), features(9, 3), modules()
    maps = maps_of(*some_boxes(), students)
    with pytest.raises(ValueError, match="3 student and 3 teacher levels for 2 maps"):
        regenerated_loss(students, teachers, parts, maps[:2], IMAGE_SIZE, regenerated())
    with pytest.raises(ValueError, match="0 student"):
        regenerated_loss([], [], parts, [], IMAGE_SIZE, regenerated())
    with pytest.raises(ValueError, match="differ in shape"):
        regenerated_loss(features(0, 1), teachers, parts, maps, IMAGE_SIZE, regenerated())
    with pytest.raises(ValueError, match="does not go with cells"):
        regenerated_loss(students, teachers, parts, maps[::-1], IMAGE_SIZE, regenerated())
    with pytest.raises(ValueError, match="zip"):
        regenerated_loss(students, teachers, parts[:2], maps, IMAGE_SIZE, regenerated())
