"""The oracle's command line: `vectors` writes or checks the fixtures, `frame` walks frames."""

import argparse
import json
import sys
from pathlib import Path

from spillway_oracle import packet, world
from spillway_oracle.vectors import check, write

VECTORS = Path(__file__).resolve().parent.parent / "fixtures" / "vectors"


def answer(outcome: packet.Outcome) -> str:
    """One JSON line for an outcome; `frame` is null unless the verdict is tx."""
    return json.dumps(
        {
            "verdict": outcome.verdict,
            "reason": outcome.reason,
            "service": outcome.service,
            "cluster": outcome.cluster,
            "clusterRow": outcome.cluster_row,
            "nodeRow": outcome.node_row,
            "fallback": outcome.fallback,
            "backend": outcome.backend,
            "frame": None if outcome.frame is None else outcome.frame.hex(),
        }
    )


def run_frames(path: str) -> int:
    """Answer each {"frame": hex} line on standard input with one line, at once."""
    built = world.load(path)
    put, flush = sys.stdout.write, sys.stdout.flush
    for number, line in enumerate(sys.stdin, 1):
        try:
            frame = bytes.fromhex(json.loads(line)["frame"])
        except (ValueError, KeyError, TypeError) as error:
            print(f'line {number}: not {{"frame": "<hex>"}}: {error!r}', file=sys.stderr)
            return 1
        put(answer(packet.walk(built, frame)) + "\n")
        flush()
    return 0


def run_vectors(directory: Path, only_check: bool) -> int:
    """Write the vectors, or say which differ from what would be written."""
    if not only_check:
        write(directory)
        return 0
    wrong = check(directory)
    for name in wrong:
        print(f"{directory / name}: differs; run `python3 tests/oracle vectors`", file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    """Parse the arguments and run one verb."""
    parser = argparse.ArgumentParser(prog="python3 tests/oracle", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    vectors = verbs.add_parser("vectors", help="write tests/fixtures/vectors")
    vectors.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    vectors.add_argument("--directory", type=Path, default=VECTORS)
    frame = verbs.add_parser("frame", help='{"frame": hex} lines in, outcomes out')
    frame.add_argument("--world", required=True)
    arguments = parser.parse_args()
    if arguments.verb == "frame":
        return run_frames(arguments.world)
    return run_vectors(arguments.directory, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
