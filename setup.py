"""Package metadata; the tools' settings stand in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

TFDS = ["tensorflow-datasets>=4.9.3"]
EXPORT = ["onnx>=1.17", "tf2onnx>=1.17", "onnxruntime>=1.20", "ai-edge-litert>=1.2"]
SERVING = ["tensorflow-serving-api>=2.19"]
SWEEP = ["optuna>=4.2"]
TABLE = ["pandas>=2.2.2"]
TESTING = ["hypothesis", "mypy", "psycopg2-binary", "pytest", "pytest-xdist", "ruff"]
TESTING += [*TFDS, *EXPORT, *SERVING, *SWEEP, *TABLE]
DOCS = ["furo", "ipykernel", "myst-nb", "sphinx", "sphinx-mathjax-offline"]

setup(
    name="keras-betavae",
    version="0.1.0",
    description="β-VAE for Keras: train, score, watch and ship disentangled representations",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["keras_betavae", "keras_betavae.*"]),
    package_data={
        "keras_betavae": ["py.typed", "experiments/report/page.*", "experiments/tuning/page.*"]
    },
    install_requires=[
        "tensorflow>=2.20",
        "keras>=3.15",
        "h5py>=3.11",
        "tensorflow-probability[tf]>=0.25",
        "numpy>=2.0",
        "protobuf>=5.28.3",
        "scikit-learn>=1.9",
        "scipy>=1.15",
        "joblib>=1.4",
        "jinja2>=3.1",
        "tensorboard>=2.20",
        "pillow>=11.0",
        "threadpoolctl>=3.7",
        "matplotlib>=3.11.2",
        "pydantic>=2.10",
    ],
    extras_require={
        "benchmark": ["torch==2.13.0"],
        "docs": DOCS,
        "sweep": SWEEP,
        "export": EXPORT,
        "table": TABLE,
        "tfds": TFDS,
        "dev": [*TESTING, *DOCS, "pre-commit"],
    },
    entry_points={"console_scripts": ["keras-betavae=keras_betavae.cli:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
