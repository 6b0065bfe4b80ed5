"""The process that ``calls.media.audio.prepare`` starts for one file: reads it, answers, ends.

Standard input is the file; the only argument is the ending of its name. Standard output is a line of JSON and then the
WAV file. The decoders are C code that reads bytes from strangers, so that memory and time are bounded for good here.
"""

import contextlib
import json
import mmap
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from calls.media.convert import convert
from calls.media.prepared import MAX_BYTES, AudioRefused

SPARE_BYTES = 256 * 1024 * 1024
"""Address space beyond that of the started program. An honest file needs less than half; a hostile one ends here."""

CPU_SECONDS = 60


def bound_this_process() -> None:
    """Limits memory and processor time of this process for good, where the system can do so."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * mmap.PAGESIZE + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Answers for one file."""
    bound_this_process()
    out = sys.stdout.buffer
    try:
        prepared = convert(sys.stdin.buffer.read(MAX_BYTES + 1), sys.argv[1])
    except AudioRefused as refusal:
        out.write(json.dumps({"refused": str(refusal)}).encode() + b"\n")
        return
    facts = asdict(prepared)
    wav = facts.pop("wav")
    out.write(json.dumps(facts).encode() + b"\n")
    out.write(wav)


if __name__ == "__main__":
    main()
