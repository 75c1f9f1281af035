"""What dSprites is, whether read from the released file or rendered."""

FACTORS = {"shape": 3, "scale": 6, "orientation": 40, "pos_x": 32, "pos_y": 32}
IMAGE_SHAPE = (64, 64, 1)
