"""A service whose database is never there."""

from __future__ import annotations

import sys
import time

print("connecting to the database at 127.0.0.1:5499")
time.sleep(0.4)
print("\x1b[31mFATAL\x1b[0m connection refused: is the database running?", file=sys.stderr)
sys.exit(3)
