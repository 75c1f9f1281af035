"""Images of the user's own: arrays, folders, TensorFlow Datasets."""
