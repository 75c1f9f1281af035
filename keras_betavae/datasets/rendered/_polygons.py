"""Draws dSprites' shapes: polygons filled by the pixel rules of a GPU.

dSprites was drawn without anti-aliasing on a canvas of unit size, 64 pixels wide. Its
images follow from three polygons, from the GPU's snapping of vertices to 1/256 pixel,
and from its fill rule: a pixel is lit if its center is inside, or on a left or bottom
edge. The constants were found by fitting frames of the animation that the data set's
authors publish.
"""

import numpy as np

IMAGE_SIZE = 64  # Pixels; a row of one image fills one uint64.
SUBPIXELS = 256  # Vertices are snapped to this fraction of a pixel.
MARGIN = 0.25  # Canvas left free on either side of the range of the center.
RADIUS = 0.15  # Half the side of the square at scale 1, in canvas widths.

ELLIPSE_SEGMENTS = 100
ELLIPSE_STRETCH = 1.33  # Widens x and narrows y, so that the area stays.

HEART_SEGMENTS = 150
HEART_WIDTH = 32.0  # Extent in x of the heart curve as it is usually written.
HEART_HEIGHT = 29.0  # About its extent in y (28.9).
HEART_SHIFT = -0.0225  # Of the heart in y, in canvas widths.

# Entry c has the bits of the columns c, c + 1, ... set; column 0 is the highest.
_COLUMNS_FROM = np.append(
    np.uint64(2**64 - 1) >> np.arange(IMAGE_SIZE, dtype=np.uint64), np.uint64(0)
)


def outline(shape: str) -> np.ndarray:
    """Returns the polygon of a shape at scale 1, upright, around (0, 0).

    Args:
        shape: "square", "ellipse" or "heart".

    Returns:
        Array (vertices, 2) of x and y (downwards) in canvas widths.

    Raises:
        ValueError: If there is no such shape.
    """
    if shape == "square":
        return RADIUS * np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    if shape == "ellipse":
        t = 2 * np.pi * np.arange(ELLIPSE_SEGMENTS) / ELLIPSE_SEGMENTS
        x, y = ELLIPSE_STRETCH * np.cos(t), np.sin(t) / ELLIPSE_STRETCH
        return RADIUS * np.stack([x, y], axis=1)
    if shape == "heart":
        t = 2 * np.pi * np.arange(HEART_SEGMENTS) / HEART_SEGMENTS
        x = 16 * np.sin(t) ** 3
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        x, y = 2 * RADIUS * x / HEART_WIDTH, -2 * RADIUS * y / HEART_HEIGHT
        return np.stack([x, y + HEART_SHIFT], axis=1)
    raise ValueError(f"shape must be square, ellipse or heart, got {shape!r}")


def render_packed(
    shape: str, scale: float, orientation: float, pos_x: np.ndarray, pos_y: np.ndarray
) -> np.ndarray:
    """Renders one sprite at every combination of positions, with eight pixels per byte.

    Args:
        shape: "square", "ellipse" or "heart".
        scale: Factor of size, 0.5 to 1 in dSprites.
        orientation: Angle in radians, counterclockwise in the image.
        pos_x: Array (nx,), 0 (left) to 1.
        pos_y: Array (ny,), 0 (top) to 1.

    Returns:
        Array (nx, ny, 512) of uint8, each image as `numpy.packbits` would pack it.

    Raises:
        ValueError: If there is no such shape.
    """
    cos, sin = scale * np.cos(orientation), scale * np.sin(orientation)
    vertices = outline(shape) @ np.array([(cos, -sin), (sin, cos)])

    def snap(position: np.ndarray, offset: np.ndarray) -> np.ndarray:
        center = MARGIN + (1 - 2 * MARGIN) * np.asarray(position, dtype=np.float64)
        subpixels = (center[:, None] + offset) * (IMAGE_SIZE * SUBPIXELS)
        return np.rint(subpixels).astype(np.int64)

    x1, y1 = snap(pos_x, vertices[:, 0]), snap(pos_y, vertices[:, 1])
    nx, ny = len(x1), len(y1)
    rise = np.roll(y1, -1, axis=1) - y1
    run = np.roll(x1, -1, axis=1) - x1

    # Which edges cross the line through the pixel centers of each row.
    centers = SUBPIXELS * np.arange(IMAGE_SIZE) + SUBPIXELS // 2
    above = y1[:, None, :] < centers[:, None]  # Strict: a bottom edge is inside.
    iy, row, edge = np.nonzero(above != np.roll(above, -1, axis=2))

    # The first column at or right of each crossing, in exact integers because
    # snapped edges do pass through pixel centers: ceil(crossing - 1/2).
    rise, depth = rise[iy, edge], centers[row] - y1[iy, edge]
    depth, rise = depth * np.sign(rise), abs(rise)
    left = (x1[:, edge] - SUBPIXELS // 2) * rise + depth * run[:, edge]
    column = np.clip(-(-left // (SUBPIXELS * rise)), 0, IMAGE_SIZE)

    # A pixel is inside if an odd number of crossings is left of it.
    rows = np.zeros((nx, ny * IMAGE_SIZE), dtype=np.uint64)
    line = iy * IMAGE_SIZE + row
    start = np.flatnonzero(np.diff(line, prepend=-1))
    rows[:, line[start]] = np.bitwise_xor.reduceat(_COLUMNS_FROM[column], start, axis=1)
    return rows.astype(">u8").view(np.uint8).reshape(nx, ny, -1)
