"""The fixtures: each file is built from constants, and the same on every machine."""

import json
from pathlib import Path

from . import frames, hashes, tables

BUILDERS = {
    "siphash13.json": hashes.siphash_file,
    "flow_hash.json": hashes.flow_file,
    "maglev.json": tables.maglev_file,
    "maglev_large.json": tables.maglev_large_file,
    "node_hrw.json": tables.node_hrw_file,
    "cluster_rows.json": tables.cluster_rows_file,
    "outer_headers.json": frames.headers_file,
}


def render(tree: dict) -> str:
    """JSON with one line for each entry of a list, so that a difference is readable."""
    parts = []
    for key, value in tree.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join("    " + json.dumps(item) for item in value) + "\n  ]"
        parts.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def built(directory: Path) -> dict[str, str]:
    """Every file's text by name. frames.json walks the hand-written world.json beside it."""
    files = {name: render(build()) for name, build in BUILDERS.items()}
    files["frames.json"] = render(frames.frames_file(directory / "world.json"))
    return files


def write(directory: Path) -> None:
    """Write every file."""
    for name, text in built(directory).items():
        (directory / name).write_text(text, encoding="utf-8")


def check(directory: Path) -> list[str]:
    """The names of the files that differ or are missing."""
    wrong = []
    for name, text in built(directory).items():
        path = directory / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            wrong.append(name)
    return wrong
