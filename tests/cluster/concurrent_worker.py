"""usage: concurrent_worker.py SECONDS REPORT COUNT DIRECTORY...: COUNT processes, dealt over the DIRECTORYs (mounts of one tree),
do mixed operations in one shared directory and in one of their own. Every wrong answer goes to REPORT as a line."""
import errno
import os
import random
import sys
import time


class Worker:
    def __init__(self, base, number, report):
        self.shared = os.path.join(base, "shared")
        self.own = os.path.join(base, "own-%d" % number)
        self.number, self.report = number, report
        self.rng = random.Random(number)
        self.files = {}  # name in own -> content
        self.mine = []  # names in shared
        self.counter = self.operations = 0
        os.makedirs(self.own, exist_ok=True)

    def wrong(self, text):
        os.write(self.report, ("worker %d: %s\n" % (self.number, text)).encode())

    def fresh(self):
        self.counter += 1
        return "w%d-%d" % (self.number, self.counter)

    # In its own directory it knows everything.

    def create(self):
        name, content = self.fresh(), self.rng.randbytes(self.rng.choice([0, 10, 3000, 70000]))
        with open(os.path.join(self.own, name), "wb") as f:
            f.write(content)
            if self.rng.random() < 0.3:
                f.flush()
                os.fsync(f.fileno())
        self.files[name] = content

    def read(self):
        if not self.files:
            return
        name = self.rng.choice(list(self.files))
        with open(os.path.join(self.own, name), "rb") as f:
            if f.read() != self.files[name]:
                self.wrong("%s reads otherwise" % name)

    def append(self):
        if not self.files:
            return
        name = self.rng.choice(list(self.files))
        with open(os.path.join(self.own, name), "ab") as f:
            f.write(b"more")
        self.files[name] += b"more"

    def rename(self):
        if not self.files:
            return
        name, new = self.rng.choice(list(self.files)), self.fresh()
        os.rename(os.path.join(self.own, name), os.path.join(self.own, new))
        self.files[new] = self.files.pop(name)

    def remove(self):
        if len(self.files) < 20:
            return
        name = self.rng.choice(list(self.files))
        os.unlink(os.path.join(self.own, name))
        del self.files[name]

    def list_own(self):
        if set(os.listdir(self.own)) != set(self.files):
            self.wrong("its own directory lists %s" % sorted(set(os.listdir(self.own)) ^ set(self.files))[:5])

    def subdirectory(self):
        path = os.path.join(self.own, "sub")
        os.makedirs(os.path.join(path, "a", "b"))
        with open(os.path.join(path, "a", "b", "f"), "w") as f:
            f.write("x")
        os.rename(os.path.join(path, "a", "b"), os.path.join(path, "c"))
        os.unlink(os.path.join(path, "c", "f"))
        for d in ("c", "a", ""):
            os.rmdir(os.path.join(path, d))

    # In the shared one others come between.

    def offer(self):
        name = self.fresh()
        with open(os.path.join(self.shared, name), "w") as f:
            f.write(name)
        self.mine.append(name)

    def look(self):
        names = [n for n in os.listdir(self.shared) if not n.startswith("race")]
        if len(names) != len(set(names)):
            self.wrong("a listing has names twice")
        if not names:
            return
        name = self.rng.choice(names)
        try:
            with open(os.path.join(self.shared, name)) as f:
                text = f.read()
            if text not in ("", name):  # empty: its writer is not done
                self.wrong("shared %s holds %r" % (name, text[:50]))
        except FileNotFoundError:
            pass  # its owner removed it

    def withdraw(self):
        if len(self.mine) < 10:
            return
        os.unlink(os.path.join(self.shared, self.mine.pop(0)))

    def race(self):
        """Everybody fights for few names; each outcome that POSIX allows is fine."""
        path = os.path.join(self.shared, "race-%d" % self.rng.randrange(5))
        try:
            if self.rng.random() < 0.5:
                os.mkdir(path)
            else:
                os.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOENT):
                raise

    def run(self, end):
        todo = [self.create] * 4 + [self.read] * 6 + [self.append] * 2 + [self.rename] * 2 + [self.remove] * 3 + [self.list_own] + [
            self.subdirectory] + [self.offer] * 2 + [self.look] * 4 + [self.withdraw] * 2 + [self.race] * 2
        slowest = 0.0
        while time.monotonic() < end:
            step = self.rng.choice(todo)
            began = time.monotonic()
            try:
                step()
            except OSError as error:
                self.wrong("%s: %s" % (step.__name__, error))
                if error.errno in (errno.ENOTCONN, errno.EIO):
                    break
            slowest = max(slowest, time.monotonic() - began)
            self.operations += 1
        self.list_own()
        for name in list(self.files):
            with open(os.path.join(self.own, name), "rb") as f:
                if f.read() != self.files[name]:
                    self.wrong("at the end %s reads otherwise" % name)
        os.write(self.report, b"done %d %.3f\n" % (self.operations, slowest))


def main():
    seconds, report, count, bases = float(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    fd = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    end = time.monotonic() + seconds
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                Worker(bases[number % len(bases)], number, fd).run(end)
                os._exit(0)
            except BaseException as error:  # noqa: B036
                os.write(fd, ("worker %d: ends with %s: %s\n" % (number, type(error).__name__, error)).encode())
                os._exit(1)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)


main()
