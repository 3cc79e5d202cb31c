"""A directory of many names over two mounts: listed while it is split, and whole again when it is empty."""
import os
import threading
import time

from lib import Playground, check, note, wait_for
from test_coherence import calls_of

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


def cached(directory, other, log, names):
    """stat of names here, present and absent, for half a second: the kernel answers. What the other mount changes is seen at once."""
    absent = ["absent%d" % i for i in range(10)]

    def use():
        for name in names:
            os.stat(os.path.join(directory, name))
        for name in absent:
            check(not os.path.exists(os.path.join(directory, name)), "%s is there" % name)

    time.sleep(6)  # nobody contends for the names any more
    use()
    use()
    time.sleep(1.1)  # a name is trusted for a second
    use()
    before, began, rounds = calls_of(log), time.monotonic(), 0
    while time.monotonic() - began < 0.5:
        use()
        rounds += 1
    took = time.monotonic() - began
    after = calls_of(log)
    asked = after["claudefs_fuse_requests_total"] - before["claudefs_fuse_requests_total"]
    sent = after["claudefs_rpc_calls_total"] - before["claudefs_rpc_calls_total"]
    check(rounds > 2 and asked <= 4, "%d names looked at %d times were %d requests to the daemon" % (len(names + absent), rounds, asked))
    check(sent <= 3 * 2 * (took + 1) + 6, "%d names looked at %d times were %d messages" % (len(names + absent), rounds, sent))
    entries = os.stat(directory).st_size
    for name in absent:
        make(other, [name])
        check(os.path.exists(os.path.join(directory, name)), "%s was made there and is not seen here" % name)
        entries += 1
        check(os.stat(directory).st_size == entries, "%d entries here, %d there" % (os.stat(directory).st_size, entries))
    remove(other, absent)
    for name in absent:
        check(not os.path.exists(os.path.join(directory, name)), "%s was removed there and is seen here" % name)
    note("%d names of a split directory looked at %d times in %.1f s: %d requests, %d messages" % (
        len(names + absent), rounds, took, asked, sent))


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

    cached(both[1], first, os.path.join(pg.directory, "second.log"), names[::count // 10])
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
