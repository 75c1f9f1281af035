import os

# Two threads per worker would fight over the machine when tests run in parallel.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
