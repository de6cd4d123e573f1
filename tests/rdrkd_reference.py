"""RDR-KD's losses read literally: one number after another, in Python's floats, box by box and cell by cell."""

import math

TOUCH = 1e-3  # of a cell


def inside(box):
    """The part of a box inside its image, x1, y1, x2, y2, or None."""
    x, y, width, height = box
    if width <= 0 or height <= 0:
        return None
    x1, y1, x2, y2 = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if x1 >= 1 or y1 >= 1 or x2 <= 0 or y2 <= 0:
        return None
    return max(x1, 0.0), max(y1, 0.0), min(x2, 1.0), min(y2, 1.0)


def area(box):
    part = inside(box)
    return 0.0 if part is None else (part[2] - part[0]) * (part[3] - part[1])


def covered_cells(box, height, width):
    """The cells (row, column) of a level that a box overlaps."""
    part = inside(box)
    if part is None:
        return []
    columns = _overlapped(part[0] * width, part[2] * width, width)
    return [(row, column) for row in _overlapped(part[1] * height, part[3] * height, height) for column in columns]


def _overlapped(low, high, count):
    found = [cell for cell in range(count) if min(high, cell + 1) - max(low, cell) > TOUCH]
    return found or [min(int(low + TOUCH), count - 1)]


def owners(boxes, images, batch, height, width):
    """Each cell's box, or None, by image, row and column."""
    grids = [[[None] * width for _ in range(height)] for _ in range(batch)]
    for index, (box, image) in enumerate(zip(boxes, images, strict=True)):
        for row, column in covered_cells(box, height, width):
            held = grids[image][row][column]
            if held is None or area(box) < area(boxes[held]):
                grids[image][row][column] = index
    return grids


def softmax(values):
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def attention(features, temperature):
    """A^s as rows of columns, and A^c as a list, of one image's features [channel][row][column]."""
    channels, height, width = len(features), len(features[0]), len(features[0][0])
    cells = [(row, column) for row in range(height) for column in range(width)]
    spatial = softmax(
        [sum(abs(one[row][column]) for one in features) / (temperature * channels) for row, column in cells]
    )
    by_channel = softmax(
        [sum(abs(one[row][column]) for row, column in cells) / (temperature * height * width) for one in features]
    )
    rows = [[spatial[row * width + column] * height * width for column in range(width)] for row in range(height)]
    return rows, [value * channels for value in by_channel]


def masks(features, boxes, image_size, settings):
    """M^s as rows of columns and M^c as a list, 0 where hidden, of one image's features and boxes."""
    spatial, channel = attention(features, settings.attention_temperature)
    height, width = len(spatial), len(spatial[0])
    small = [box for box in boxes if area(box) * image_size**2 < settings.area_threshold]
    hidden = {cell for box in small for cell in covered_cells(box, height, width)}
    for row in range(height):
        for column in range(width):
            is_key = spatial[row][column] > settings.spatial_threshold or (row, column) in hidden
            spatial[row][column] = 0 if is_key else 1
    return spatial, [0 if value > settings.channel_threshold else 1 for value in channel]


def decoupled(students, teachers, boxes, images, image_size, settings):
    """Eq. 7-8 of lists [level][image][channel][row][column]."""
    total = 0.0
    for student, teacher in zip(students, teachers, strict=True):
        batch, channels = len(student), len(student[0])
        height, width = len(student[0][0]), len(student[0][0][0])
        grids = owners(boxes, images, batch, height, width)
        for image in range(batch):
            cells = [(row, column) for row in range(height) for column in range(width)]
            weights = _area_weights(boxes, grids[image], image_size, settings)
            empty = sum(grids[image][row][column] is None for row, column in cells)
            for row, column in cells:
                squares = sum(
                    (teacher[image][k][row][column] - student[image][k][row][column]) ** 2 for k in range(channels)
                )
                box = grids[image][row][column]
                if box is not None:
                    total += settings.foreground * weights[box] * squares / batch
                elif settings.background_by == "cells":
                    total += settings.background * squares / empty / batch
                else:
                    total += settings.background * squares / batch
    return total


def _area_weights(boxes, grid, image_size, settings):
    """W_q / S_q by box, of those that own a cell."""
    owned = [box for row in grid for box in row if box is not None]
    regions = sorted(set(owned))
    if not regions:
        return {}
    unit = image_size**2 if settings.area_unit == "pixels" else 1
    weights = softmax([(1 - area(boxes[q]) * unit - settings.bias) / settings.temperature for q in regions])
    sizes = {
        q: owned.count(q) if settings.size_by == "owned" else len(covered_cells(boxes[q], len(grid), len(grid[0])))
        for q in regions
    }
    return {q: weight / sizes[q] for q, weight in zip(regions, weights, strict=True)}


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def focal(student, teacher, alpha, gamma):
    s, t = sigmoid(student), sigmoid(teacher)
    entropy = -t * math.log(s) - (1 - t) * math.log(1 - s)
    return (alpha * t + (1 - alpha) * (1 - t)) * abs(t - s) ** gamma * entropy


def eiou(student, teacher):
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = student, teacher
    shared = max(min(ax2, bx2) - max(ax1, bx1), 0) * max(min(ay2, by2) - max(ay1, by1), 0)
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared
    width, height = max(ax2, bx2) - min(ax1, bx1), max(ay2, by2) - min(ay1, by1)
    centres = ((ax1 + ax2) / 2 - (bx1 + bx2) / 2) ** 2 + ((ay1 + ay2) / 2 - (by1 + by2) / 2) ** 2
    wide = ((ax2 - ax1) - (bx2 - bx1)) ** 2 / width**2
    high = ((ay2 - ay1) - (by2 - by1)) ** 2 / height**2
    return 1 - shared / union + centres / (width**2 + height**2) + wide + high


def responsive(student_logits, teacher_logits, student_boxes, teacher_boxes, settings):
    """Eq. 9-10 of lists [image][place][...]."""
    total = 0.0
    for image, places in enumerate(teacher_logits):
        for place, logits in enumerate(places):
            if max(sigmoid(one) for one in logits) <= settings.min_score:
                continue
            total += eiou(student_boxes[image][place], teacher_boxes[image][place])
            for student, teacher in zip(student_logits[image][place], logits, strict=True):
                total += focal(student, teacher, settings.alpha, settings.gamma)
    return total / len(teacher_logits)
