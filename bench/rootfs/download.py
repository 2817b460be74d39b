"""How much would have to be fetched before a first start."""

from __future__ import annotations

import subprocess

from bench.rootfs.build import Tree


def compressed_bytes(tree: Tree) -> int:
    """Return the size of the tar as gzip makes it, the form in which registries hand images out; computed once."""
    note = tree.tar.with_suffix(".gz.bytes")
    if not note.exists():
        script = 'gzip -c "$0" | wc -c'
        done = subprocess.run(["sh", "-c", script, str(tree.tar)], capture_output=True, text=True, check=True)
        note.write_text(done.stdout.strip(), "ascii")
    return int(note.read_text("ascii"))
