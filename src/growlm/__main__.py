"""``python -m growlm`` is ``growlm``."""

import sys

from growlm.cli.main import main

sys.exit(main())
