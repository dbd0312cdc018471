"""Taking files out of an image: finding them, and writing them into a folder and nowhere else.

`select` says which versions of which paths are meant, `links` where symlinks lead, `place` writes below one
open folder, `extract` is the action, from its plan to its end.
"""
