"""Your own data: arrays, tables, folders, TensorFlow Datasets."""
