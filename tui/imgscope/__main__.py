"""``python -m imgscope``."""

import sys

from imgscope.cli import main

sys.exit(main())
