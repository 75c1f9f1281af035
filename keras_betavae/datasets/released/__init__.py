"""The data sets that their authors released."""
