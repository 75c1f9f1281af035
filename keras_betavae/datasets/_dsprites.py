"""Factors and shapes of dSprites, as released and as rendered."""

FACTORS = {"shape": 3, "scale": 6, "orientation": 40, "pos_x": 32, "pos_y": 32}
IMAGE_SHAPE = (64, 64, 1)
