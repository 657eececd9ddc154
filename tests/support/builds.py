"""What the interpreter's build makes different, for the tests of it."""

import sys
import sysconfig
from typing import Final

# PEP 703: an application's threads compute side by side.
FREE_THREADED: Final = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

# An environ that came back untouched is lent again, where that can be known.
LENDS_ENVIRONS: Final = sys.version_info < (3, 14) and not FREE_THREADED
WHY_NOT: Final = "nothing tells here whether a dict was touched: PEP 699, or no GIL"
