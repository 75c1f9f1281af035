"""Data of the user's own: arrays, tables, folders, TensorFlow Datasets."""
