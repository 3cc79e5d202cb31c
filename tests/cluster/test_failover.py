"""Leaders die by kill -9 under load, again and again: how long does nothing get done, and is all there that was acknowledged? Leaders
that are stopped past their lease and go on: do they ever answer with what is no longer so?"""
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import crash_writer
from lib import HERE, Playground, Prober, check, kill_group, note, wait_for

LONGEST_GAP = 5.0  # seconds; the aim is 2 for 99 of 100
WRITERS = 2
FILES = 16
READERS = 2  # of each mount


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


# --- kill -9 ----------------------------------------------------------------------------------------------------------

def busiest(pg):
    """The node that leads most shards; the load goes to all of them."""
    nodes = [n for n in pg.status()["nodes"] if n["state"] == "up"]
    best = max(nodes, key=lambda n: (n["shards_led"], -n["id"]))
    check(best["shards_led"] > 0, "no node says that it leads anything: %s" % nodes)
    return best["id"], best["shards_led"]


def start_writers(base, work, turn):
    jobs = []
    for w in range(WRITERS):
        directory, journal, seed = os.path.join(base, "w%d" % w), os.path.join(work, "journal-%d-%d" % (turn, w)), "t%dw%d" % (turn, w)
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "crash_writer.py"), directory, journal, seed], start_new_session=True)
        jobs.append((process, directory, journal, seed))
    return jobs


def end_writers(jobs):
    """All they were told to be durable is there. Gives how many steps that were."""
    ended = [seed for process, _, _, seed in jobs if process.poll() is not None]
    for process, *_ in jobs:
        kill_group(process)
        process.wait(20)
    check(not ended, "writers failed: %s" % ended)
    errors, total = [], 0
    for _, directory, journal, seed in jobs:
        found, acknowledged = crash_writer.check_directory(directory, journal, seed)
        errors += found
        total += acknowledged
        os.unlink(journal)
    check(not errors, "of %d acknowledged steps:\n%s" % (total, "\n".join(errors[:10])))
    return total


def one_kill(pg, work, turn):
    pg.wait_whole(90)
    base = os.path.join(pg.mount, "kill-%d" % turn)
    os.mkdir(base)
    jobs = start_writers(base, work, turn)
    prober = Prober(os.path.join(base, "probe"))
    time.sleep(0.7)
    node, led = busiest(pg)
    os.kill(pg.node_pid(node), signal.SIGKILL)
    time.sleep(1.5)
    probed = prober.stop()
    pg.start(node)
    steps = end_writers(jobs)
    check(not probed["errors"], "operations failed when node %d died: %s" % (node, probed["errors"][:5]))
    check(probed["operations"] > 20, "only %d operations were probed" % probed["operations"])
    check(probed["longest_gap"] <= LONGEST_GAP, "node %d, leader of %d shards, was killed: %.2f s without an operation; at most %.0f s is allowed" % (
        node, led, probed["longest_gap"], LONGEST_GAP))
    shutil.rmtree(base)
    note("kill %d: node %d, leader of %d shards: longest gap %.2f s in %d operations; %d acknowledged steps there" % (
        turn, node, led, probed["longest_gap"], probed["operations"], steps))
    return probed["longest_gap"]


def kills(pg, work, count):
    gaps = [one_kill(pg, work, turn) for turn in range(1, count + 1)]
    return "%d kills: longest time between operations p50 %.2f s, p99 %.2f s, most %.2f s" % (
        count, quantile(gaps, 0.5), quantile(gaps, 0.99), max(gaps))


# --- SIGSTOP ----------------------------------------------------------------------------------------------------------

class Board:
    """What writers were told, for readers in other processes: the newest value of each file; then an end flag, how many reads were
    made, how many of them found a value that their reader had not seen, and how many were stale."""

    SLOTS = FILES + 1 + 3 * 2 * READERS

    def __init__(self):
        self.memory = mmap.mmap(-1, 8 * self.SLOTS)

    def get(self, slot):
        return struct.unpack_from("<Q", self.memory, 8 * slot)[0]

    def set(self, slot, value):
        struct.pack_into("<Q", self.memory, 8 * slot, value)

    def stop(self):
        self.set(FILES, 1)

    def stopped(self):
        return self.get(FILES) != 0

    def of_reader(self, reader, which):
        return FILES + 1 + 3 * reader + which

    def total(self, which):
        return sum(self.get(self.of_reader(reader, which)) for reader in range(2 * READERS))


def path_of(mount, i):
    return os.path.join(mount, "stale-%02d" % i, "value")


def write_for_ever(mount, board, mine):
    value = 0
    while not board.stopped():
        value += 1
        for i in mine:
            path = path_of(mount, i)
            with open(path + ".new", "wb") as f:
                f.write(b"%d" % value)
            os.rename(path + ".new", path)
            board.set(i, value)
        time.sleep(0.002)


def read_for_ever(mount, board, reader):
    counts, last = [0, 0, 0], [0] * FILES
    while not board.stopped():
        for i in range(FILES):
            least = board.get(i)
            with open(path_of(mount, i), "rb") as f:
                seen = int(f.read())
            counts[0] += 1
            counts[1] += seen != last[i]
            counts[2] += seen < least
            last[i] = seen
        for which, count in enumerate(counts):
            board.set(board.of_reader(reader, which), count)


def spawn(function, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            function(*arguments)
        except BaseException as error:
            print("    %s: %r" % (function.__name__, error), flush=True)
            os._exit(1)
        os._exit(0)
    return pid


def pauses(pg, rounds, reads):
    """A stopped leader's clock stood still for it: whatever it answers first is suspect."""
    mounts = [pg.mount, pg.mount_again("second", node=2)]
    board = Board()
    for i in range(FILES):
        os.makedirs(os.path.dirname(path_of(pg.mount, i)))
    children = [spawn(write_for_ever, mount, board, range(half, FILES, 2)) for half, mount in enumerate(mounts)]
    done = 0
    try:
        wait_for(lambda: all(board.get(i) for i in range(FILES)), 30, "first values")
        children += [spawn(read_for_ever, mounts[reader % 2], board, reader) for reader in range(2 * READERS)]
        end = time.monotonic() + 60 + 10 * rounds
        while (done < rounds or board.total(0) < reads) and time.monotonic() < end:
            pid = pg.node_pid(busiest(pg)[0])
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(1.3)
            finally:
                os.kill(pid, signal.SIGCONT)
            done += 1
            time.sleep(1.0)
    finally:
        board.stop()
        codes = [os.waitpid(child, 0)[1] for child in children]
    check(not any(codes), "a reader or writer failed: %s" % codes)
    pg.umount(mounts[1])
    figures = "%d pauses: %d reads, %d of a new value, %d stale" % (done, board.total(0), board.total(1), board.total(2))
    note(figures)
    check(board.total(2) == 0, figures)
    check(done >= rounds and board.total(0) >= reads, figures + "; too few for a result")
    return figures


def run(context):
    pg = Playground(context.work).up()
    paused = pauses(pg, context.pick(2, 5, 20), context.pick(2000, 20000, 100000))
    killed = kills(pg, context.work, context.pick(2, 6, 100))
    if context.size != "quick":
        pg.wait_whole(90)
        pg.fsck()
    return killed + "; " + paused
