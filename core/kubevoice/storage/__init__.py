"""Where datasets and artifacts live: file:// and s3:// behind one small interface."""

from kubevoice.storage.base import ObjectInfo, S3Options, Storage, connect
from kubevoice.storage.tree import fetch_tree, publish_tree, tree_digest, tree_published

__all__ = [
    "ObjectInfo",
    "S3Options",
    "Storage",
    "connect",
    "fetch_tree",
    "publish_tree",
    "tree_digest",
    "tree_published",
]
