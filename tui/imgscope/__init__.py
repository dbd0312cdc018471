"""imgscope: see what your container images are made of, and what they waste."""

from importlib.metadata import PackageNotFoundError, version


def __getattr__(name: str) -> str:
    # Reading the metadata costs several milliseconds: only those who ask pay.
    if name == "__version__":
        try:
            return version("imgscope")
        except PackageNotFoundError:  # run from a checkout that nobody installed
            return "0.0.0"
    raise AttributeError(name)
