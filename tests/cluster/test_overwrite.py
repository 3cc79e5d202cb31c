"""Space under overwrite load: what is dead comes back soon, half-dead segments too, and nothing that lives is lost."""
import os
import random
import time

from lib import Playground, check, mib, note, wait_for

BLOCK = 128 << 10
FILE = 4 << 20


def block(file, index, version):
    return random.Random(file << 40 | index << 20 | version).randbytes(BLOCK)


class Files:
    """Files of blocks whose content follows from their version: what must be read is known without keeping it."""

    def __init__(self, base, count, seed):
        self.base, self.random = base, random.Random(seed)
        self.versions = [[0] * (FILE // BLOCK) for _ in range(count)]

    def path(self, file):
        return os.path.join(self.base, "file-%d" % file)

    def create(self):
        for file, versions in enumerate(self.versions):
            with open(self.path(file), "wb") as out:
                for index in range(len(versions)):
                    out.write(block(file, index, 0))
                    # Chunks end where blocks do: of a chunk that straddles two, overwriting one leaves a part alive.
                    out.flush()
                    os.fsync(out.fileno())

    def bytes(self):
        return len(self.versions) * FILE

    def overwrite(self, blocks):
        """So many random blocks, durable."""
        touched = {}
        for _ in range(blocks):
            file = self.random.randrange(len(self.versions))
            index = self.random.randrange(FILE // BLOCK)
            fd = touched.get(file)
            if fd is None:
                fd = touched[file] = os.open(self.path(file), os.O_WRONLY)
            self.versions[file][index] += 1
            os.pwrite(fd, block(file, index, self.versions[file][index]), index * BLOCK)
        for fd in touched.values():
            os.fsync(fd)
            os.close(fd)

    def check(self):
        for file, versions in enumerate(self.versions):
            with open(self.path(file), "rb") as f:
                for index, version in enumerate(versions):
                    check(f.read(BLOCK) == block(file, index, version),
                          "block %d of %s is not its version %d" % (index, self.path(file), version))


def shard_bytes(pg):
    """What lies in the nodes' shard files, header and redundancy included."""
    total = 0
    for n in range(1, pg.nodes + 1):
        for directory, _, names in os.walk(os.path.join(pg.data(n), "shards")):
            for name in names:
                try:
                    total += os.path.getsize(os.path.join(directory, name))
                except FileNotFoundError:
                    pass  # removed meanwhile
    return total


def amplification(pg, live):
    return shard_bytes(pg) / (1.5 * live)  # 2+1


def run(context):
    count, seconds, rate = context.pick((12, 10, 3 << 20), (96, 60, 6 << 20), (96, 300, 8 << 20))
    pg = Playground(context.work, size=context.pick("256MiB", "500MiB", "500MiB")).up()
    base = os.path.join(pg.mount, "overwrite")
    os.mkdir(base)
    files = Files(base, count, 1)
    files.create()
    note("%s live, amplification %.2f; raw_used %s of %s" % (
        mib(files.bytes()), amplification(pg, files.bytes()), mib(pg.status()["space"]["raw_used"]), mib(pg.status()["space"]["raw_total"])))

    worst, debt, written = 0.0, 0, 0
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        files.overwrite(16)
        written += 16 * BLOCK
        worst = max(worst, amplification(pg, files.bytes()))
        debt = max(debt, pg.status()["reclaim"]["debt"])
        time.sleep(max(0, started + written / rate - time.monotonic()))
    note("%s overwritten at random: amplification at worst %.2f, debt at most %s" % (mib(written), worst, mib(debt)))
    check(debt > 0, "random overwriting left no half-dead segment: nothing was tested")
    began = time.monotonic()

    def is_small():
        now = amplification(pg, files.bytes())
        check(now < 1.25, "amplification is still %.2f; reclaim %s" % (now, pg.status()["reclaim"]))
        return now

    final = wait_for(is_small, 60, "the dead space comes back", 0.5)
    settled = time.monotonic() - began
    reclaim = pg.status()["reclaim"]
    check(reclaim["moved"] > 0, "nothing was compacted: %s" % reclaim)
    check(reclaim["done"] > 0, "nothing was reclaimed: %s" % reclaim)
    files.check()
    pg.remount()
    files.check()

    before = shard_bytes(pg)
    half = range(0, count, 2)
    for file in half:
        os.unlink(files.path(file))
    began = time.monotonic()
    wanted = before - int(0.9 * 1.5 * len(half) * FILE)

    def has_sunk():
        now = shard_bytes(pg)
        check(now <= wanted, "%s in shards, %s before, %s wanted" % (mib(now), mib(before), mib(wanted)))
        return True

    # A leader that has just begun waits 30 s for those who hold removed files open; this one has not.
    wait_for(has_sunk, 60, "the space of deleted files comes back", 0.5)
    deleted = time.monotonic() - began
    pg.fsck()
    return "%s overwritten in %s: amplification %.2f at worst, %.2f after %.0f s; space of deleted files back in %.0f s" % (
        mib(written), mib(files.bytes()), worst, final, settled, deleted)
