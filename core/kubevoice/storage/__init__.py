"""Where datasets and artifacts live: file:// and s3:// behind one small interface."""

from kubevoice.storage.base import ObjectInfo, S3Options, Storage
from kubevoice.storage.contents import list_contents
from kubevoice.storage.factory import connect
from kubevoice.storage.tree import fetch_tree, publish_tree, published_digest, tree_digest

__all__ = [
    "ObjectInfo",
    "S3Options",
    "Storage",
    "connect",
    "fetch_tree",
    "list_contents",
    "publish_tree",
    "published_digest",
    "tree_digest",
]
