"""imgscope: see what your container images are made of, and what they waste."""


def __getattr__(name: str) -> str:
    if name == "__version__":
        # Reading the metadata costs some 25 ms: only those who ask pay.
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("imgscope")
        except PackageNotFoundError:  # run from a checkout that nobody installed
            return "0.0.0"
    raise AttributeError(name)
