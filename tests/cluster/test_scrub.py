"""Damage at rest: blocks of shard files change beneath a running server; scrubbing finds and mends every one before it is read."""
import json
import os
import random
import time

from lib import Playground, check, claudefs, clean_environment, must

PIECE = 1 << 20
BLOCK = 4096


def content(number):
    return random.Random(number).randbytes(PIECE)


def piece(base, number):
    return os.path.join(base, "piece-%d" % number)


def write_files(base, count):
    os.mkdir(base)
    for number in range(count):
        with open(piece(base, number), "wb") as f:
            f.write(content(number))
            f.flush()
            os.fsync(f.fileno())


def check_files(base, count):
    for number in range(count):
        with open(piece(base, number), "rb") as f:
            check(f.read() == content(number), "piece %d reads otherwise than it was written" % number)


def shard_files(pg, node):
    found = []
    for directory, _, names in os.walk(os.path.join(pg.data(node), "shards")):
        found += [os.path.join(directory, name) for name in names if name.count(".") == 3]
    return sorted(found)


def flip_block(path, draw):
    """Every byte of one block, or of the file's short last one, becomes another."""
    with open(path, "r+b") as f:
        at = draw.randrange(0, os.path.getsize(path), BLOCK)
        f.seek(at)
        old = f.read(BLOCK)
        f.seek(at)
        f.write(bytes(b ^ (1 + draw.randrange(255)) for b in old))


def scrub(pg):
    done = must([claudefs(), "scrub", "--cluster", pg.cluster_file, "--json"], 90, env=clean_environment(pg.work))
    told = json.loads(done.out)
    check(all(not node["trouble"] for node in told["nodes"]) and told["unrepaired"] == 0, "scrub says %s" % told)
    return told, done.seconds


def run(context):
    count = context.pick(24, 100, 400)
    rounds = context.pick(1, 3, 6)
    pg = Playground(context.work, size="1GiB" if context.size == "quick" else "4GiB").up()
    base = os.path.join(pg.mount, "scrub")
    write_files(base, count)
    pg.wait_settled()
    clean, _ = scrub(pg)
    check(clean["found"] == 0 and clean["read"] > count * PIECE, "scrubbing a sound cluster: %s" % clean)
    draw = random.Random(1)
    damaged, slowest = 0, 0.0
    for number in range(rounds):
        node = 1 + number % pg.nodes
        paths = shard_files(pg, node)
        check(paths, "node %d holds no shards" % node)
        for path in paths:
            flip_block(path, draw)
        damaged += len(paths)
        told, seconds = scrub(pg)
        slowest = max(slowest, seconds)
        found = {n["id"]: n["found"] for n in told["nodes"] if n["found"]}
        check(found == {node: len(paths)}, "%d shards of node %d were damaged; found by node: %s" % (len(paths), node, found))
        check(not any(os.path.exists(path) for path in paths), "damaged files are still there")
        pg.wait_whole()
    again, _ = scrub(pg)
    check(again["found"] == 0, "a second pass finds %s" % again)
    pg.remount()
    check_files(base, count)
    status = pg.status()["scrub"]
    check(status["found"] == status["repaired"] == damaged and status["last_complete"] > time.time() - 600, "status says %s" % status)
    pg.fsck()
    return "%d damaged shards found and mended, a pass with its repairs at most %.1f s; all reads back" % (damaged, slowest)
