"""Let the engine's tests import their small stages as a user's module."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
