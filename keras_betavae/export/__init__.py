"""The files that serve a model: SavedModel, ONNX and LiteRT."""

from keras_betavae.export.served_model import ServedModel

__all__ = ["ServedModel"]
