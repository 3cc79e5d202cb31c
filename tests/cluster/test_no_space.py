"""A full cluster: writes fail with ENOSPC, reads and deletes go on, and the space comes back."""
import errno
import os
import random
import shutil
import time

from lib import Failure, Playground, check, mib, note, wait_for

PIECE = 4 << 20


def content(number):
    return random.Random(number).randbytes(PIECE)  # neither compresses nor repeats


def write_piece(path, number):
    """Written and durable, or an OSError with nothing acknowledged."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        left = memoryview(content(number))
        while left:
            left = left[os.write(fd, left):]
        os.fsync(fd)
    finally:
        os.close(fd)


def fill(base, limit):
    """Writes pieces until it is full. Gives the numbers of those that were acknowledged."""
    done = []
    end = time.monotonic() + limit
    while time.monotonic() < end:
        number = len(done)
        try:
            write_piece(os.path.join(base, "piece-%d" % number), number)
        except OSError as error:
            check(error.errno == errno.ENOSPC, "a write to the full cluster fails with %s, should be ENOSPC" % error)
            return done
        done.append(number)
        check(number < 1000, "4 GB went into three nodes of 300 MiB")
    raise Failure("not full after %d s" % limit)


def check_pieces(base, numbers):
    for number in numbers:
        with open(os.path.join(base, "piece-%d" % number), "rb") as f:
            check(f.read() == content(number), "piece %d, acknowledged before the cluster was full, reads otherwise" % number)


def space_is_back(base, pieces):
    """So much can be written again. What does not fit is removed, and tried again later."""
    try:
        for n in range(pieces):
            write_piece(os.path.join(base, "again-%d" % n), 10000 + n)
        return True
    except OSError as error:
        check(error.errno == errno.ENOSPC, "writing again fails with %s" % error)
        for n in range(pieces):
            if os.path.exists(os.path.join(base, "again-%d" % n)):
                os.unlink(os.path.join(base, "again-%d" % n))
        return False


def run(context):
    pg = Playground(context.work, size="300MiB").up()
    base = os.path.join(pg.mount, "full")
    os.mkdir(base)
    started = time.monotonic()
    kept = fill(base, 180)
    took = time.monotonic() - started
    check(len(kept) * PIECE > 100 << 20, "full after %s already" % mib(len(kept) * PIECE))
    status = pg.status()
    note("full after %s in %.0f s: raw_used %s of %s; state %s; alerts %s" % (
        mib(len(kept) * PIECE), took, mib(status["space"]["raw_used"]), mib(status["space"]["raw_total"]), status["cluster"]["state"],
        status["alerts"]))
    check(status["alerts"], "a full cluster raises no alert")
    check_pieces(base, kept[:5])
    check(os.listdir(base), "a full cluster cannot list")
    pg.remount()  # nothing cached: what was acknowledged is in the cluster
    check_pieces(base, kept)
    pg.down()
    pg.up()  # also a full node starts
    check_pieces(base, kept[::7])

    freed = kept[: 3 * len(kept) // 4]
    for number in freed:
        os.unlink(os.path.join(base, "piece-%d" % number))
    started = time.monotonic()
    # Only looked at until then: whatever is written and removed meanwhile takes its own time to be reclaimed.
    full, wanted = status["space"]["raw_used"], int(0.6 * 1.5 * len(freed) * PIECE)

    def has_sunk():
        now = pg.status()["space"]["raw_used"]
        check(now <= full - wanted, "raw_used is %s, was %s, should sink by %s" % (mib(now), mib(full), mib(wanted)))
        return True

    wait_for(has_sunk, 60, "the space of what was deleted is reclaimed", 3)
    check(space_is_back(base, len(freed) // 2), "half of what was deleted cannot be written again")
    took = time.monotonic() - started
    for n in range(len(freed) // 2):
        with open(os.path.join(base, "again-%d" % n), "rb") as f:
            check(f.read() == content(10000 + n), "what was written after the deletion reads otherwise")
    check_pieces(base, kept[len(freed):])
    pg.fsck()
    shutil.rmtree(base)
    return "ENOSPC after %s; space back %.0f s after deleting" % (mib(len(kept) * PIECE), took)
