"""One line each second."""

from __future__ import annotations

import math
import time

SHADES = (17, 18, 19, 20, 26, 32, 38, 44, 50)

while True:
    now = time.localtime()
    height = round(20 + 18 * math.sin(time.time() / 8))
    colour = SHADES[height * len(SHADES) // 40]
    print(f"{time.strftime('%H:%M:%S', now)} \x1b[38;5;{colour}m{'█' * height}\x1b[0m")
    time.sleep(1 - time.time() % 1)
