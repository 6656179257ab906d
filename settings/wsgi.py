"""The WSGI application that granian serves."""

from __future__ import annotations

import gc
import os
import sys

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.dev")

application = get_wsgi_application()

# A request of 512 spans makes tens of thousands of small containers and no cycles. What was imported is left alone,
# and the collector looks less often: 5 to 10 % of the CPU of an ingesting process (docs/reference/performance.md).
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 100)

# A thread that waits for the database a dozen times a request must not wait 5 ms each time for a busy neighbour to
# let go of the interpreter, least of all while it holds a log's head.
sys.setswitchinterval(0.0005)
