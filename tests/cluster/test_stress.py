"""Programs that were made to break file systems, for a while each, while a node is killed a third of the way through and comes back
after the second third: stress-ng's file-system class, dbench, the differential fuzzer (with mmap), and a counter that processes on two
mounts share under locks."""
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import test_concurrency
import test_posix
from lib import Playground, Skip, call, check, kill_group, tail

# Those of `stress-ng --class filesystem` that work in a directory of the caller's.
STRESSORS = """access aio chdir chmod chown copy-file dentry dir dirdeep dirmany fallocate fcntl filename flock fpunch fsize fstat getdent
    hdd io iomix link locka lockf lockofd mknod open readahead rename revio seek sendfile splice symlink sync-file touch utime xattr""".split()
COUNTERS = 4  # processes of each mount
GRACE = 120  # seconds that a program may need beyond its time: stress-ng looks at the clock between rounds


def needs(program):
    if shutil.which(program) is None:
        raise Skip("%s is not installed" % program)


def with_a_death(pg, node, seconds, work):
    """work() takes about `seconds`; the node is killed in the midst of it, and is whole again afterwards."""
    failures = []

    def strike():
        try:
            time.sleep(seconds / 3)
            pg.kill(node)
            time.sleep(seconds / 3)
            pg.start(node)
        except Exception as failure:
            failures.append(failure)

    striker = threading.Thread(target=strike)
    striker.start()
    try:
        figures = work()
    finally:
        striker.join()
    check(not failures, "node %d: %s" % (node, failures))
    pg.wait_whole(120)
    return figures


def in_directory(pg, name):
    directory = os.path.join(pg.mount, name)
    os.mkdir(directory)
    return directory


def stress_ng(pg, seconds):
    needs("stress-ng")
    directory = in_directory(pg, "stress-ng")
    each = max(1, seconds // len(STRESSORS))

    def work():
        for stressor in STRESSORS:
            done = call(["stress-ng", "--temp-path", directory, "--timeout", "%ds" % each, "--verify", "--" + stressor, "2"], each + GRACE)
            check(done.code == 0, "%s: exit %d\n%s%s" % (stressor, done.code, tail(done.out), tail(done.err)))
        return "%d stressors, %d s each" % (len(STRESSORS), each)

    return with_a_death(pg, 1, each * len(STRESSORS), work)


def dbench(pg, seconds):
    needs("dbench")
    directory = in_directory(pg, "dbench")

    def work():
        done = call(["dbench", "-D", directory, "-t", str(seconds), "4"], 2 * seconds + GRACE)
        said = re.search(r"Throughput .*", done.out)
        check(done.code == 0 and said, "dbench: exit %d\n%s%s" % (done.code, tail(done.out), tail(done.err)))
        return said.group(0)

    return with_a_death(pg, 2, seconds, work)


def fuzzer(pg, mounts, local, seconds):
    def work():
        done = call([sys.executable, "-B", os.path.join(test_posix.POSIX, "fuzz"), mounts[0], local, "--second", mounts[1], "--operations", "1000000000",
                     "--seconds", str(seconds)], 2 * seconds + GRACE)
        check(done.code == 0, "tests/posix/fuzz: exit %d\n%s%s" % (done.code, tail(done.out, 6000), tail(done.err)))
        return re.search(r"\d+ operations.*", done.out).group(0)

    return with_a_death(pg, 3, seconds, work)


COUNT = """
import fcntl, os, sys, time
path, end, kind = sys.argv[1], time.time() + float(sys.argv[2]), sys.argv[3]
fd = os.open(path, os.O_RDWR)
done = 0
while time.time() < end:
    fcntl.flock(fd, fcntl.LOCK_EX) if kind == "flock" else fcntl.lockf(fd, fcntl.LOCK_EX)
    value = int(os.pread(fd, 20, 0))
    os.pwrite(fd, b"%020d" % (value + 1), 0)
    fcntl.flock(fd, fcntl.LOCK_UN) if kind == "flock" else fcntl.lockf(fd, fcntl.LOCK_UN)
    done += 1
print(done)
"""


def counters(mounts, seconds):
    """Each kind of lock has a file. What every process added is in it at the end, as both mounts see it."""
    jobs = []
    for kind in ("flock", "fcntl"):
        with open(os.path.join(mounts[0], kind), "wb") as f:
            f.write(b"%020d" % 0)
        for i in range(2 * COUNTERS):
            argv = [sys.executable, "-c", COUNT, os.path.join(mounts[i % 2], kind), str(seconds), kind]
            jobs.append((kind, subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)))
    sums = {"flock": 0, "fcntl": 0}
    for kind, job in jobs:
        try:
            out, err = job.communicate(timeout=seconds + GRACE)
        except subprocess.TimeoutExpired:
            kill_group(job)
            raise
        check(job.returncode == 0, "%s: %s" % (kind, tail(err)))
        sums[kind] += int(out)
    for kind, expected in sums.items():
        for mount in mounts:
            found = int(open(os.path.join(mount, kind)).read())
            check(found == expected, "%d times %s was held and 1 added, but %s says %d" % (expected, kind, mount, found))
    return "%d under flock, %d under fcntl" % (sums["flock"], sums["fcntl"])


def locks_and_caches(pg, mounts, seconds):
    bases = [os.path.join(m, "load") for m in mounts]
    os.makedirs(os.path.join(bases[0], "shared"))

    def work():
        counted = counters(mounts, seconds // 2)
        operations, slowest = test_concurrency.load(bases, os.path.join(pg.work, "report"), seconds // 2)
        return "counted %s; %d operations, slowest %.2f s" % (counted, operations, slowest)

    return with_a_death(pg, 1, seconds, work)


def run(context):
    local = os.path.join(context.work, "local")
    os.mkdir(local)
    pg = Playground(context.work).up()
    second = pg.mount_again("second", node=2)
    seconds = context.pick(12, 45, 600)
    limit = 3 * seconds + 4 * GRACE
    context.steps.run("stress_ng", stress_ng, pg, seconds, limit=limit + len(STRESSORS) * GRACE // 4)
    context.steps.run("dbench", dbench, pg, seconds, limit=limit)
    context.steps.run("fuzzer", fuzzer, pg, [pg.mount, second], local, seconds, limit=limit)
    context.steps.run("locks_and_caches", locks_and_caches, pg, [pg.mount, second], seconds, limit=limit)
    pg.umount(second)
    pg.wait_whole(120)
    pg.fsck()
    return "%d steps of %d s with a node's death in each" % (len(context.steps.results), seconds)
