"""kill -9 of all servers and the client at once, while writers run: what was fsynced is there and right."""
import os
import subprocess
import sys
import time

import crash_writer
import trees
from lib import HERE, Failure, Playground, check, kill_group, note

WRITERS = 6


def read_everything(root):
    """Every entry can be listed and every file read to its end. Gives how many there are."""
    count = 0
    for relative in trees.walk(root):
        path = os.path.join(os.fsencode(root), relative) if relative else os.fsencode(root)
        info = os.lstat(path)
        count += 1
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as f:
                size = len(f.read())
            check(size == info.st_size, "%r: %d bytes are read, stat says %d" % (path, size, info.st_size))
    return count


def one_crash(pg, work, turn, seconds):
    base = os.path.join(pg.mount, "crash-%d" % turn)
    os.mkdir(base)
    jobs = []
    for w in range(WRITERS):
        directory, journal = os.path.join(base, "w%d" % w), os.path.join(work, "journal-%d-%d" % (turn, w))
        seed = "t%dw%d" % (turn, w)
        process = subprocess.Popen([sys.executable, os.path.join(HERE, "crash_writer.py"), directory, journal, seed],
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        jobs.append((process, directory, journal, seed))
    time.sleep(seconds)
    ended = [j[3] for j in jobs if j[0].poll() is not None]
    check(pg.kill_everything() == pg.nodes + 1, "not every process ran when all were to be killed")
    for process, *_ in jobs:
        kill_group(process)
        process.wait(20)
    check(not ended, "writers failed before anything was killed: %s" % ended)
    started = time.monotonic()
    pg.up()
    took = time.monotonic() - started
    errors, acknowledged = [], 0
    for _, directory, journal, seed in jobs:
        found, acks = crash_writer.check_directory(directory, journal, seed)
        errors += found
        acknowledged += acks
    if errors:
        raise Failure("after crash %d, of %d acknowledged steps:\n%s" % (turn, acknowledged, "\n".join(errors[:10])))
    check(acknowledged > WRITERS * 3, "only %d steps were acknowledged in %.1f s" % (acknowledged, seconds))
    entries = read_everything(pg.mount)
    note("crash %d: %d acknowledged steps all there; up again in %.1f s; %d entries read" % (turn, acknowledged, took, entries))
    return acknowledged


def run(context):
    pg = Playground(context.work).up()
    times = context.pick([2.0], [3.0, 1.7, 4.3], [3.0, 1.7, 4.3, 0.9, 2.6, 8.0, 5.1, 3.3])
    total = sum(one_crash(pg, context.work, turn, seconds) for turn, seconds in enumerate(times, 1))
    for turn in range(1, len(times) + 1):  # later crashes took nothing from earlier files
        for w in range(WRITERS):
            errors, _ = crash_writer.check_directory(os.path.join(pg.mount, "crash-%d" % turn, "w%d" % w),
                                                     os.path.join(context.work, "journal-%d-%d" % (turn, w)), "t%dw%d" % (turn, w))
            check(not errors, "\n".join(errors[:5]))
    seconds, _ = pg.wait_whole(90)
    pg.fsck()
    return "%d crashes, %d acknowledged steps, all there; full redundancy %.1f s later" % (len(times), total, seconds)
