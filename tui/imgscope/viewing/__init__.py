"""One file's content, as one looks at it: read as far as it is looked at, recognised, in rows, compared."""
