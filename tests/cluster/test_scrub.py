"""Damage at rest: what lies in files changes beneath running servers; scrubbing finds and mends all of it before it is read."""
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


def shard_files_beside(path):
    above = os.path.dirname(os.path.dirname(path))
    return sorted(os.path.join(above, d, name) for d in os.listdir(above) for name in os.listdir(os.path.join(above, d)))


# --- ways for a shard's file to go wrong; its parts as docs/formats/shard.md has them ---

HEADER = 64


def table_end(path):
    return HEADER + 4 * -(-int(path.rsplit(".", 1)[1], 16) // BLOCK)


def change(path, draw, begin, end):
    """Every byte from `begin` to `end` becomes another."""
    with open(path, "r+b") as f:
        f.seek(begin)
        old = f.read(end - begin)
        f.seek(begin)
        f.write(bytes(b ^ (1 + draw.randrange(255)) for b in old))


def change_byte(path, draw, begin, end):
    at = draw.randrange(begin, end)
    change(path, draw, at, at + 1)


def change_block(path, draw):
    at = draw.randrange(0, os.path.getsize(path), BLOCK)
    change(path, draw, at, at + BLOCK)


def take_bytes_of_another(path, draw):
    others = [p for p in shard_files_beside(path) if p != path]
    with open(draw.choice(others), "rb") as f:
        other = f.read()
    with open(path, "r+b") as f:
        f.write(other)
        f.truncate()


DAMAGES = [
    ("a block", change_block),
    ("a byte of the header", lambda path, draw: change_byte(path, draw, 0, HEADER)),
    ("a byte of the table", lambda path, draw: change_byte(path, draw, HEADER, table_end(path))),
    ("a byte of the padding", lambda path, draw: change_byte(path, draw, table_end(path), BLOCK)),
    ("a byte of the content", lambda path, draw: change_byte(path, draw, BLOCK, os.path.getsize(path))),
    ("cut", lambda path, draw: os.truncate(path, draw.randrange(os.path.getsize(path)))),
    ("too long", lambda path, draw: os.truncate(path, os.path.getsize(path) + draw.randrange(1, BLOCK))),
    ("empty", lambda path, draw: os.truncate(path, 0)),
    ("gone", lambda path, draw: os.unlink(path)),
    ("another's bytes", take_bytes_of_another),
]


def damage_journal(pg, write, draw):
    """Every block that `write` adds to one node's journal is changed at once. Gives the node and how many."""
    def blocks(node):
        out = {}
        for name in sorted(os.listdir(os.path.join(pg.data(node), "journal"))):
            path = os.path.join(pg.data(node), "journal", name)
            if not name.endswith(".log"):
                continue
            with open(path, "rb") as f:
                content = f.read()
            for at in range(0, len(content), BLOCK):
                out[path, at] = hash(content[at:at + BLOCK])
        return out

    nodes = range(1, pg.nodes + 1)
    before = {node: blocks(node) for node in nodes}
    write()
    nothing = hash(bytes(BLOCK))
    added = {node: [where for where, now in blocks(node).items() if now not in (nothing, before[node].get(where))]
             for node in nodes}
    node = max(nodes, key=lambda n: len(added[n]))
    for path, at in added[node]:
        change(path, draw, at, at + BLOCK)
    return node, len(added[node])


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
    pg.wait_whole()
    clean, _ = scrub(pg)
    check(clean["found"] == 0 and clean["read"] > count * PIECE, "scrubbing a sound cluster: %s" % clean)
    draw = random.Random(1)
    damaged, slowest = 0, 0.0
    for number in range(rounds):
        node = 1 + number % pg.nodes
        paths = shard_files(pg, node)
        check(len(paths) > len(DAMAGES), "node %d holds only %d shards" % (node, len(paths)))
        for index, path in enumerate(paths):
            DAMAGES[index % len(DAMAGES)][1](path, draw)
        damaged += len(paths)
        told, seconds = scrub(pg)
        slowest = max(slowest, seconds)
        found = {n["id"]: n["found"] for n in told["nodes"] if n["found"]}
        check(found == {node: len(paths)}, "%d shards of node %d were damaged; found by node: %s" % (len(paths), node, found))
        left = [DAMAGES[i % len(DAMAGES)][0] for i, path in enumerate(paths) if os.path.exists(path)]
        check(not left, "damaged files are still there: %s" % left)
        pg.wait_whole()
    again, _ = scrub(pg)
    check(again["found"] == 0, "a second pass finds %s" % again)
    status = pg.status()["scrub"]
    check(status["found"] == status["repaired"] == damaged and status["last_complete"] > time.time() - 600, "status says %s" % status)
    journal = journal_drill(context, pg, draw)  # mounts anew
    check_files(base, count)
    pg.fsck()
    return "%d damaged shards (%d kinds) found and mended, a pass with its repairs at most %.1f s; %s; all reads back" % (
        damaged, len(DAMAGES), slowest, journal)


def journal_drill(context, pg, draw):
    """What was just written lies in two journals: all of it in one of them goes wrong at once, under a running node."""
    names = [os.path.join(pg.mount, "little-%d" % n) for n in range(context.pick(20, 60, 200))]

    def text(name):
        return random.Random(name).randbytes(20_000)

    def write():
        for name in names:
            with open(name, "wb") as f:
                f.write(text(name))
                f.flush()
                os.fsync(f.fileno())

    node, blocks = damage_journal(pg, write, draw)
    check(blocks > 0, "nothing came to any journal")
    told, _ = scrub(pg)
    check(all(n["id"] == node or n["found"] == 0 for n in told["nodes"]), "only node %d was damaged: %s" % (node, told))
    if context.size != "quick":
        pg.kill(node)
        pg.start(node)
    pg.wait_whole()
    pg.remount()
    for name in names:
        with open(name, "rb") as f:
            check(f.read() == text(name), "%s reads otherwise than it was written" % name)
    return "%d blocks of a journal, %d open segments found damaged" % (blocks, told["found"])
