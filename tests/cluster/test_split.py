"""A directory of many names over two mounts: listed while it is split, and whole again when it is empty."""
import os
import threading
import time

from lib import Playground, check, note, wait_for

WRITERS = 8


def make(directory, names):
    for name in names:
        os.close(os.open(os.path.join(directory, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def remove(directory, names):
    for name in names:
        os.unlink(os.path.join(directory, name))


def in_parallel(work, directories, names):
    """Half of the threads on each mount."""
    failures = []

    def run(number):
        try:
            work(directories[number % 2], names[number::WRITERS])
        except OSError as error:
            failures.append(error)
    threads = [threading.Thread(target=run, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    return threads, failures


def list_until(directory, threads, always):
    """Lists again and again while the threads run: what was there all the time comes exactly once."""
    rounds = 0
    while True:
        last = not any(thread.is_alive() for thread in threads)
        seen = {}
        for entry in os.scandir(directory):
            seen[entry.name] = seen.get(entry.name, 0) + 1
        wrong = [name for name in always if seen.get(name) != 1]
        check(not wrong, "%d names that were there all the time were not listed once, such as %s (%s times)"
              % (len(wrong), wrong[:1], seen.get(wrong[0]) if wrong else 0))
        twice = [name for name, times in seen.items() if times != 1]
        check(not twice, "listed twice: %s" % twice[:3])
        rounds += 1
        time.sleep(0.2)
        if last:
            return rounds, seen


def run(context):
    count = context.pick(20000, 40000, 200000)
    pg = Playground(context.work).up()
    second = pg.mount_again()
    first = os.path.join(pg.mount, "large")
    os.mkdir(first)
    both = [first, os.path.join(second, "large")]
    always = ["always%d" % i for i in range(500)]
    make(first, always)

    names = ["name%d" % i for i in range(count)]
    began = time.monotonic()
    threads, failures = in_parallel(make, both, names)
    rounds, seen = list_until(both[1], threads, always)
    check(not failures, "creating failed: %s" % failures[:3])
    seconds = time.monotonic() - began
    check(len(seen) == count + 500, "%d names are listed, %d were made" % (len(seen), count + 500))
    size = os.stat(first).st_size
    check(size == count + 500, "the directory says that it has %d entries" % size)
    report = pg.fsck()
    check(report["split_directories"] == 1 and report["fragments"] >= 1,
          "it was not split: %s" % {k: report[k] for k in ("split_directories", "fragments")})
    note("%d names made in %.1f s, listed %d times meanwhile; %d fragments" % (count, seconds, rounds, report["fragments"]))

    os.chmod(first, 0o700)
    check(os.stat(both[1]).st_mode & 0o777 == 0o700, "the other mount does not see the mode")
    threads, failures = in_parallel(remove, both, names)
    rounds_removing, seen = list_until(first, threads, always)
    check(not failures, "removing failed: %s" % failures[:3])
    check(sorted(seen) == sorted(always), "%d names are left, not %d" % (len(seen), len(always)))
    wait_for(lambda: pg.fsck()["fragments"] == 0, 180, "its fragments came together", every=5)
    remove(first, always)
    os.rmdir(first)
    return "%d names over two mounts: %d fragments, %d listings during splits, %d while they went" % (
        count, report["fragments"], rounds, rounds_removing)
