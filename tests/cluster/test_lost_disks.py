"""The data directories of one node after the other are removed under load, until no first copy of anything is left.

With three nodes each datum survives the loss of any one: what was fsynced reads back at once from the others, the node that starts
on an empty disk is filled again by itself, and then the next one may go.
"""
import os
import random
import shutil
import threading
import time

from lib import Playground, check, mib, note

SIZES = (300, 5_000, 60_000, 400_000, 2_500_000)  # inline, small, journal, direct, several segments
HELD_UP = 20  # seconds: a writer that waits for one node's disk waits for 60


def content(number):
    noise = random.Random(number)
    size = noise.choice(SIZES) + noise.randrange(200)
    return noise.randbytes(size // 2) + (b"%08d" % number) * (size // 16)  # half of it compresses


class Load:
    """Writes and fsyncs files and reads back what was written, until told to stop. Every error counts."""

    def __init__(self, base):
        self.base = base
        self.done = []  # acknowledged
        self.errors = []
        self.reads = 0
        self.slowest = 0.0  # seconds, of a file
        self.stopping = threading.Event()
        self.going = threading.Event()
        self.going.set()
        self.threads = [threading.Thread(target=self.guard, args=(work,)) for work in (self.write, self.read)]
        os.makedirs(base)
        for thread in self.threads:
            thread.start()

    def guard(self, work):
        began = time.time()
        try:
            while not self.stopping.is_set():
                began = time.time()
                work()
                self.slowest = max(self.slowest, time.time() - began)
                self.going.wait()
        except Exception as error:
            self.errors.append("%s, begun at %s, failed after %.1f s: %s" % (
                work.__name__, time.strftime("%T", time.gmtime(began)), time.time() - began, error))

    def write(self):
        number = len(self.done)
        fd = os.open(self.path(number), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        try:
            left = memoryview(content(number))
            while left:
                left = left[os.write(fd, left):]
            os.fsync(fd)
        finally:
            os.close(fd)
        self.done.append(number)
        time.sleep(0.05)

    def read(self):
        if self.done:
            self.compare(random.choice(self.done))
            self.reads += 1
        time.sleep(0.03)

    def path(self, number):
        return os.path.join(self.base, "file-%d" % number)

    def compare(self, number, base=None):
        with open(os.path.join(base or self.base, "file-%d" % number), "rb") as f:
            check(f.read() == content(number), "file %d, which was fsynced, reads otherwise" % number)

    def check(self, when):
        check(not self.errors, "%s: %s" % (when, "; ".join(self.errors)))

    def fsck(self, pg):
        """While nothing changes, which is when it is quick."""
        self.going.clear()
        pg.fsck()
        self.going.set()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)
            check(not thread.is_alive(), "an operation hangs for more than 120 s")


def read_all(pg, load, node, name):
    """Through a client that has nothing cached."""
    fresh = pg.mount_again(name, node=node)
    for number in list(load.done):
        load.compare(number, os.path.join(fresh, os.path.basename(load.base)))
    pg.umount(fresh)


def lose(pg, load, node, while_it_runs):
    if while_it_runs:
        shutil.rmtree(pg.data(node), ignore_errors=True)
        time.sleep(1)
    pg.kill(node)
    if os.path.exists(pg.data(node)):  # also what it has made again since
        shutil.rmtree(pg.data(node))
    before = len(load.done)
    read_all(pg, load, node % pg.nodes + 1, "degraded-%d" % node)
    pg.start(node)
    seconds, status = pg.wait_whole(90)
    load.check("with the disk of node %d lost" % node)
    check(len(load.done) > before, "nothing was written while the disk of node %d was lost" % node)
    load.fsck(pg)
    note("node %d: %d files read back without its disk; whole again %.1f s after its start, %s stored" % (
        node, before, seconds, mib(status["space"]["stored"])))
    return seconds


def run(context):
    pg = Playground(context.work).up()
    load = Load(os.path.join(pg.mount, "load"))
    time.sleep(context.pick(1.5, 5, 20))
    order = list(range(1, pg.nodes + 1)) * context.pick(1, 1, 3)
    took = [lose(pg, load, node, while_it_runs=turn % 2 == 1) for turn, node in enumerate(order)]
    load.stop()
    load.check("at the end")
    read_all(pg, load, 1, "end")  # and of what was written first no disk is left
    pg.fsck()
    check(load.slowest < HELD_UP, "a file took %.1f s: a lost disk holds up those who write" % load.slowest)
    return "%d disks lost, one after the other; %d files and %d reads right, slowest %.1f s; whole again after %.1f s at most" % (
        len(order), len(load.done), load.reads, load.slowest, max(took))
