# SPDX-License-Identifier: MIT
from . import annotate as annotate
from . import cluster as cluster
from . import embed as embed
from . import segment as segment

__all__ = ["annotate", "cluster", "embed", "segment"]
