"""Live comparisons need the frameworks: pip install -e '.[frameworks]'.

Without them these tests are skipped. With LRP_REQUIRE_FRAMEWORKS set, as in CI, they fail instead.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
