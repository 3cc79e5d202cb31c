"""64 processes on two mounts of one cluster: no error, no hang, and both mounts show the same in the end."""
import os
import sys
import time

import trees
from lib import HERE, Playground, check, must, note, wait_for

WORKERS = 64


def load(bases, report, seconds):
    """Failure with what went wrong; else (operations, the slowest one in seconds)."""
    must([sys.executable, "-B", os.path.join(HERE, "concurrent_worker.py"), seconds, report, WORKERS] + bases, seconds + 90)
    lines = open(report).read().splitlines()
    wrong = [line for line in lines if not line.startswith("done")]
    check(not wrong, "%d wrong answers:\n%s" % (len(wrong), "\n".join(wrong[:10])))
    done = [line.split() for line in lines]
    check(len(done) == WORKERS, "%d of %d workers came to their end" % (len(done), WORKERS))
    return sum(int(d[1]) for d in done), max(float(d[2]) for d in done)


def sees(path, text):
    return os.path.exists(path) and open(path).read() == text


def run(context):
    pg = Playground(context.work).up()
    second = pg.mount_again("second", node=2)
    bases = [os.path.join(m, "load") for m in (pg.mount, second)]
    os.makedirs(os.path.join(bases[0], "shared"))
    wait_for(lambda: os.path.isdir(os.path.join(bases[1], "shared")), 5, "the second mount sees the directory")
    # Close-to-open between mounts: what one closed the other reads once its attributes are a second old.
    for n in range(3):
        with open(os.path.join(bases[n % 2], "letter"), "w") as f:
            f.write("version %d" % n * (n + 1))
        time.sleep(1.3)
        check(sees(os.path.join(bases[1 - n % 2], "letter"), "version %d" % n * (n + 1)), "1.3 s after close the other mount reads something else")
    seconds = context.pick(10, 30, 60)
    operations, slowest = load(bases, os.path.join(context.work, "report"), seconds)
    note("%d operations in %d s, the slowest %.2f s" % (operations, seconds, slowest))
    check(operations > WORKERS * seconds / 2, "only %d operations in %d s" % (operations, seconds))
    time.sleep(2)  # the attribute cache is a second old at most
    count = trees.compare(*bases)
    pg.umount(second)
    third = pg.mount_again("third", node=3)  # knows nothing from before
    trees.compare(bases[0], os.path.join(third, "load"))
    pg.umount(third)
    pg.wait_whole(60)
    return "%d operations by %d processes in %d s (%.0f/s), slowest %.2f s; %d entries alike" % (
        operations, WORKERS, seconds, operations / seconds, slowest, count)
