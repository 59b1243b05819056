# SPDX-License-Identifier: MIT
"""The functions of stofm under the name that scanpy's are under."""
from ._embed import embed
from ._tasks import annotate, cluster, segment

__all__ = ["annotate", "cluster", "embed", "segment"]
