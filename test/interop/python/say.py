"""The lines that the interop test reads, and the records that every client writes (test/interop/cases.go)."""

import time

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS = 50
LIMIT = 30.0
FIRST_MS = int(time.time()) * 1000 - 600_000


class Code(Exception):
    """Kafka's error number."""

    def __init__(self, code):
        super().__init__(f"Kafka error {code}")
        self.code = code


class Absent(Exception):
    """The reason why a client does not take part in a case."""


def line(name, result):
    print(f"{name}: {result}".rstrip(), flush=True)


def report(name, error, code_of):
    """Prints how a case failed; code_of finds Kafka's number in the client's own exceptions."""
    if isinstance(error, Absent):
        return line(name, f"absent {error}")
    code = error.code if isinstance(error, Code) else code_of(error)
    if code:
        return line(name, f"error {code}")
    return line(name, f"failed {type(error).__name__} {error}".replace("\n", " "))


def key(i):
    return b"k-%d" % i


def value(codec, i):
    return f"v-{codec}-{i}-{'x' * 300}".encode()


def noise(n):
    """n bytes that no codec makes smaller."""
    out, x = bytearray(), 2463534242
    for _ in range(n):
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        out.append(x & 0xFF)
    return bytes(out)


def wait(holds):
    """Polls a condition until it holds or LIMIT is over."""
    end = time.monotonic() + LIMIT
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
