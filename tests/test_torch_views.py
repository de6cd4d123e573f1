import io
import threading
import time
from itertools import count, islice

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from rgbt_bench.datasets.torch_views import Pair, PairView, ahead, decode_pair, decode_thermal, epoch_batches
from rgbt_bench.datasets.transforms import colour_jitter, flip, letterbox
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Box, Image, Sample


def png(array):
    stream = io.BytesIO()
    Pillow.fromarray(array).save(stream, format="PNG")
    return Image(stream.getvalue(), "x.png")


def pair(height=40, width=60, boxes=((10.0, 5.0, 30.0, 25.0),)):
    generator = torch.Generator().manual_seed(0)
    tensor = torch.tensor(boxes).reshape(-1, 4)
    return Pair(
        0,
        torch.rand(3, height, width, generator=generator),
        torch.rand(1, height, width, generator=generator),
        tensor,
        torch.zeros(len(tensor), dtype=torch.int64),
    )


def test_thermal_is_scaled_by_the_declared_range_never_per_image():
    image = png(np.array([[1000, 2000], [3000, 5000]], dtype=np.uint16))
    values = decode_thermal(image, (1000.0, 3000.0))
    assert values.tolist() == [[[0.0, 0.5], [1.0, 1.0]]]


def test_three_equal_channels_are_one_and_different_ones_are_refused():
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    equal = decode_thermal(png(np.stack([gray] * 3, axis=-1)), (0.0, 255.0))
    assert torch.equal(equal, decode_thermal(png(gray), (0.0, 255.0)))
    with pytest.raises(BadInputError, match=r"x\.png: a thermal image with 3 different channels"):
        decode_thermal(png(np.stack([gray, gray, gray + 1], axis=-1)), (0.0, 255.0))


def test_boxes_are_clipped_and_uncounted_ones_left_out(tiny):
    boxes = (
        Box((-1.0, -1.0, 5.0, 5.0), 0, 25.0),
        Box((2.0, 2.0, 5.0, 5.0), 1, 25.0, ignore=True),
        Box((2.0, 2.0, 5.0, 5.0), 1, 25.0, iscrowd=True),
    )
    image = png(np.zeros((8, 8, 3), dtype=np.uint8))
    decoded = decode_pair(Sample(sample_id="a", width=8, height=8, objects=boxes, rgb=image), 3, tiny.info)
    assert decoded.boxes.tolist() == [[0.0, 0.0, 4.0, 4.0]]
    assert decoded.classes.tolist() == [0]
    assert decoded.thermal is None
    unclipped = decode_pair(
        Sample(sample_id="a", width=8, height=8, objects=boxes, rgb=image),
        3,
        tiny.info.model_copy(update={"clip_training_boxes": False}),
    )
    assert unclipped.boxes.tolist() == [[-1.0, -1.0, 4.0, 4.0]]


def test_flip_moves_pixels_and_boxes_alike_and_twice_is_nothing():
    one = pair()
    flipped = flip(one)
    assert flipped.boxes.tolist() == [[30.0, 5.0, 50.0, 25.0]]
    assert torch.equal(flipped.rgb[..., 30:50], one.rgb[..., 10:30].flip(-1))
    twice = flip(flipped)
    assert torch.equal(twice.rgb, one.rgb)
    assert torch.equal(twice.boxes, one.boxes)


def test_letterbox_keeps_the_aspect_and_its_scale_brings_boxes_back():
    one = pair()
    boxed = letterbox(one, (96, 96), (0.1, 0.2, 0.3), 0.5)
    assert boxed.rgb.shape == (3, 96, 96)
    assert boxed.scale == pytest.approx(60 / 96)
    assert torch.allclose(boxed.boxes * boxed.scale, one.boxes, atol=1e-4)
    assert torch.allclose(boxed.rgb[:, 70:, :], torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1).expand(3, 26, 96))
    assert (boxed.thermal[:, 70:, :] == 0.5).all()


def test_zoomed_in_the_surplus_is_cropped_and_lost_boxes_are_dropped():
    one = pair(40, 40, boxes=((0.0, 0.0, 8.0, 8.0), (30.0, 30.0, 40.0, 40.0)))
    boxed = letterbox(one, (40, 40), (0.0, 0.0, 0.0), 0.0, zoom=2.0, shift=(1.0, 1.0))
    assert boxed.boxes.tolist() == [[20.0, 20.0, 40.0, 40.0]]
    assert boxed.classes.tolist() == [0]


def test_letterbox_at_the_own_size_changes_no_pixel():
    one = pair(64, 64)
    assert torch.equal(letterbox(one, (64, 64), (0.0, 0.0, 0.0), 0.0).rgb, one.rgb)


def test_colour_jitter_is_seeded_and_off_at_zero():
    image = pair().rgb
    assert colour_jitter(image, 0.0, True, torch.Generator()) is image
    first, second, other = (colour_jitter(image, 0.4, True, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1


def test_items_depend_on_seed_epoch_and_index_only(tiny):
    def noise(one, generator):
        return one.with_images(one.rgb + torch.rand((), generator=generator), one.thermal)

    part = tiny.part("train")
    first, second = PairView(part, noise, seed=1), PairView(part, noise, seed=1)
    assert torch.equal(first[3].rgb, second[3].rgb)
    assert torch.equal(first[3].rgb, first[3].rgb)
    second.epoch = 1
    assert not torch.equal(first[3].rgb, second[3].rgb)
    assert not torch.equal(first[3].rgb, PairView(part, noise, seed=2)[3].rgb)


def test_the_largest_seed_is_a_seed(tiny):
    view = PairView(tiny.part("train"), lambda one, generator: one, seed=2**32 - 1, epoch=10_000)
    assert view[11].rgb.shape == (3, 96, 96)
    assert sorted(next(iter(epoch_batches(4, 4, 2**32 - 1, 10_000)))) == [0, 1, 2, 3]


def test_an_epoch_holds_every_index_once_and_no_batch_of_one():
    batches = list(epoch_batches(17, 4, seed=0, epoch=0))
    assert [len(batch) for batch in batches] == [4, 4, 4, 4]
    assert len({index for batch in batches for index in batch}) == 16
    assert sorted(index for batch in epoch_batches(18, 4, 0, 0) for index in batch) == list(range(18))
    assert list(epoch_batches(18, 4, 0, 0)) == list(epoch_batches(18, 4, 0, 0)) != list(epoch_batches(18, 4, 0, 1))
    assert list(epoch_batches(1, 4, 0, 0)) == [[0]]


def loaders():
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def test_batches_made_ahead_come_in_their_order_from_one_thread():
    makers = set()

    def made():
        for number in range(50):
            makers.add(threading.current_thread())
            time.sleep(0.001 * (number % 3))
            yield number

    assert list(ahead(made())) == list(range(50))
    assert len(makers) == 1
    assert threading.current_thread() not in makers
    assert list(ahead(iter([]))) == []
    assert loaders() == []


def test_at_most_two_batches_are_made_ahead():
    made = []
    coming = ahead(made.append(number) or number for number in range(20))
    for number in coming:
        deadline = time.monotonic() + 5
        while len(made) < min(20, number + 3) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(made) == min(20, number + 3)


def test_an_error_ahead_arrives_after_the_batches_before_it():
    def made():
        yield from range(3)
        raise BadInputError("sample 7 cannot be read")

    coming, seen = ahead(made()), []
    with pytest.raises(BadInputError, match="sample 7 cannot be read"):
        seen.extend(coming)
    assert list(islice(ahead(made()), 3)) == [0, 1, 2]
    with pytest.raises(StopIteration):
        next(coming)
    assert loaders() == []


def test_who_stops_early_ends_the_thread():
    before = threading.active_count()
    coming = ahead(count())
    assert threading.active_count() == before  # nothing is read before the first batch is asked for
    assert list(islice(coming, 5)) == list(range(5))
    assert len(loaders()) == 1
    coming.close()
    assert loaders() == []
    for _ in ahead(count()):
        break
    assert loaders() == []
