"""A backup that takes half a minute, then is done."""

from __future__ import annotations

import random
import time

TABLES = ("people", "places", "visits", "invoices", "newsletters", "settings")

print("backup starts")
for number, table in enumerate(TABLES, 1):
    for per_cent in (25, 50, 75, 100):
        time.sleep(random.uniform(0.5, 2))
        print(f"[{number}/{len(TABLES)}] {table}: {per_cent} %")
print(f"\x1b[32mbackup done\x1b[0m: {random.randint(300, 900)} MB")
