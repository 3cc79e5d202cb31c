"""Programs that people run, each with its own check of its data. Every function gets a fresh directory and a scratch one
on the local disk, and raises Failure."""
import glob
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import trees
from lib import IS_ROOT, Failure, Skip, call, check, clean_environment, must, tail, wait_for


def need(program):
    if not shutil.which(program):
        raise Skip("%s is not installed" % program)


def git(directory, scratch, context):
    need("git")
    env = clean_environment(scratch)
    env.update(GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@example.org", GIT_COMMITTER_NAME="A", GIT_COMMITTER_EMAIL="a@example.org")
    work, clone = os.path.join(directory, "work"), os.path.join(directory, "clone")
    shutil.copytree(os.path.join(context.tree, "usr"), work, symlinks=True)
    run = lambda *a, at=work: must(["git", "-C", at] + list(a), 180, env=env).out  # noqa: E731
    run("init", "-q", "-b", "main")
    run("add", "-A")
    run("commit", "-q", "-m", "first")
    run("config", "core.fsync", "all")
    rng = random.Random(4)
    for n in range(5):
        for path in rng.sample(run("ls-files", "-z").split("\0")[:-1], 20):
            full = os.path.join(work, path)
            if os.path.isfile(full) and not os.path.islink(full):
                with open(full, "ab") as f:
                    f.write(b"line %d\n" % n)
        run("commit", "-q", "-a", "-m", "change %d" % n)
    must(["git", "clone", "-q", "--no-hardlinks", work, clone], 180, env=env)
    for at in (work, clone):
        run("fsck", "--full", "--strict", at=at)
        check(run("status", "--porcelain", at=at) == "", "git status is not clean in %s" % at)
    run("gc", "-q", "--prune=now")
    run("fsck", "--full")
    run("checkout", "-q", "HEAD~4", at=clone)
    run("checkout", "-q", "main", at=clone)
    check(run("rev-parse", "HEAD^{tree}") == run("rev-parse", "HEAD^{tree}", at=clone), "the clone has another tree")
    return "%s files" % len(run("ls-files").splitlines())


# --- SQLite -----------------------------------------------------------------------------------------------------------

ACCOUNTS, EACH = 100, 1000


def sqlite_writer(path, acknowledged, seed, seconds):
    """Moves money between accounts; what was committed is told on the local disk after the commit."""
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    db.execute("pragma synchronous=full")
    rng = random.Random(seed)
    end = None  # SQLite is not fair: only from its first commit on does a writer's time count
    with open(acknowledged, "ab", buffering=0) as told:
        number = 0
        while end is None or time.monotonic() < end:
            number += 1
            a, b = rng.sample(range(ACCOUNTS), 2)
            db.execute("begin immediate")
            db.execute("update account set balance = balance - 7 where id = ?", (a,))
            db.execute("update account set balance = balance + 7 where id = ?", (b,))
            db.execute("insert into history values (?, ?)", (seed, number))
            db.execute("commit")
            told.write(b"%d\n" % number)
            end = end or time.monotonic() + seconds
            time.sleep(0.002)  # lets the others in


def sqlite_check(path, told):
    db = sqlite3.connect(path, timeout=30)
    verdict = db.execute("pragma integrity_check").fetchone()[0]
    check(verdict == "ok", "integrity_check: %s" % verdict)
    total = db.execute("select sum(balance) from account").fetchone()[0]
    check(total == ACCOUNTS * EACH, "the accounts sum to %s, not %d" % (total, ACCOUNTS * EACH))
    commits = 0
    for seed, file in told.items():
        acknowledged = [int(n) for n in open(file)]
        stored = {n for (n,) in db.execute("select number from history where writer = ?", (seed,))}
        missing = [n for n in acknowledged if n not in stored]
        check(not missing, "writer %d: commits %s are lost" % (seed, missing[:5]))
        check(stored == set(range(1, len(stored) + 1)), "writer %d: its history has holes" % seed)
        commits += len(acknowledged)
    db.close()
    return commits


def sqlite(directory, scratch, context):
    commits = []
    for mode in ("delete", "wal"):
        path = os.path.join(directory, mode + ".db")
        db = sqlite3.connect(path)
        got = db.execute("pragma journal_mode=%s" % mode).fetchone()[0]
        check(got == mode, "journal mode %s is refused: it says %s" % (mode, got))
        db.execute("create table account (id integer primary key, balance integer)")
        db.execute("create table history (writer integer, number integer)")
        db.executemany("insert into account values (?, ?)", [(i, EACH) for i in range(ACCOUNTS)])
        db.commit()
        db.close()
        seconds = context.pick(2, 4, 20)
        told = {seed: os.path.join(scratch, "%s.%d" % (mode, seed)) for seed in (1, 2, 3)}
        writers = [subprocess.Popen([sys.executable, "-B", __file__, "sqlite", path, told[s], str(s), str(seconds)]) for s in told]
        wait_for(lambda: os.path.exists(told[1]) and os.path.getsize(told[1]), 40, "the first commit of the writer to be killed", 0.02)
        time.sleep(seconds / 4)
        check(writers[0].poll() is None, "the writer to be killed has ended by itself")
        writers[0].kill()  # in the middle of something, most likely
        for w in writers:
            w.wait(seconds + 60)
        check(all(w.returncode == 0 for w in writers[1:]), "a writer failed beside one that was killed (%s)" % mode)
        commits.append("%s: %d commits" % (mode, sqlite_check(path, told)))
    return ", ".join(commits)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------

class Postgres:
    def __init__(self, directory, scratch, work):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: float(p.split("/")[4]))
        if not found:
            raise Skip("postgresql is not installed")
        self.programs = os.path.dirname(found[-1])
        self.user = []
        self.data = os.path.join(directory, "data")
        self.sockets = os.path.join(work, "pgsock")  # a socket's path is short
        self.log = os.path.join(self.sockets, "log")
        self.env = dict(clean_environment(scratch), PGHOST=self.sockets, PGUSER="tester", PGDATABASE="postgres")
        os.makedirs(self.sockets, exist_ok=True)
        os.makedirs(self.data)
        open(self.log, "w").close()
        if IS_ROOT:
            import pwd
            who = pwd.getpwnam("postgres") if "postgres" in [u.pw_name for u in pwd.getpwall()] else pwd.getpwnam("nobody")
            self.user = ["runuser", "-u", who.pw_name, "--"]
            for path in (self.data, self.sockets, self.log):
                os.chown(path, who.pw_uid, who.pw_gid)

    def run(self, program, *arguments, limit=120):
        return must(self.user + [os.path.join(self.programs, program)] + list(arguments), limit, env=self.env, cwd="/").out

    def query(self, text):
        return self.run("psql", "-X", "-A", "-t", "-c", text).strip()

    def start(self):
        try:
            self.run("pg_ctl", "start", "-w", "-t", "90", "-D", self.data, "-l", self.log, "-o", "-k %s -h ''" % self.sockets, limit=100)
        except Failure as failure:
            raise Failure("%s\n%s" % (failure, tail(open(self.log).read())))

    def stop(self, how):
        self.run("pg_ctl", "stop", "-w", "-D", self.data, "-m", how)

    def check_sums(self):
        sums = self.query("select (select sum(abalance) from pgbench_accounts) || ' ' || (select sum(bbalance) from pgbench_branches)"
                          " || ' ' || (select sum(tbalance) from pgbench_tellers) || ' ' ||"
                          " (select coalesce(sum(delta), 0) from pgbench_history)").split()
        check(len(set(sums)) == 1, "the sums of accounts, branches, tellers and history differ: %s" % sums)
        return int(self.query("select count(*) from pgbench_history"))

    def verify(self):
        if os.path.exists(os.path.join(self.programs, "pg_amcheck")):
            self.run("pg_amcheck", "--install-missing", "--heapallindexed", "--parent-check", "postgres", limit=180)
        else:
            self.query("reindex database postgres")


def postgresql(directory, scratch, context):
    pg = Postgres(directory, scratch, context.work)
    try:
        pg.run("initdb", "-D", pg.data, "-A", "trust", "-U", "tester", "--data-checksums", "--no-locale", limit=180)
        pg.start()
        try:
            pg.run("pgbench", "-i", "-q", "-s", "3", limit=180)
            out = pg.run("pgbench", "-T", str(context.pick(5, 20, 120)), "-c", "4", "-j", "2", limit=240)
            done = pg.check_sums()
            check(done > 0, "pgbench did no transaction")
            pg.stop("immediate")  # as after a crash: the log has to be replayed
            pg.start()
            check(pg.check_sums() == done, "transactions are lost after a crash of the database")
            pg.verify()
            pg.stop("fast")
        finally:
            call(pg.user + [os.path.join(pg.programs, "pg_ctl"), "stop", "-D", pg.data, "-m", "immediate"], 60, env=pg.env, cwd="/")
        pg.run("pg_checksums", "--check", "-D", pg.data)
    finally:
        shutil.rmtree(pg.sockets, ignore_errors=True)
    tps = [line.split("=")[1].split("(")[0].strip() for line in out.splitlines() if line.startswith("tps")]
    return "%d transactions, %s tps" % (done, tps[0] if tps else "?")


# --- building ---------------------------------------------------------------------------------------------------------

def make_project(directory, modules):
    os.makedirs(os.path.join(directory, "src"))
    for n in range(modules):
        with open(os.path.join(directory, "src", "m%d.h" % n), "w") as f:
            f.write("#ifndef M%d_H\n#define M%d_H\nlong m%d(long);\n#endif\n" % (n, n, n))
        with open(os.path.join(directory, "src", "m%d.c" % n), "w") as f:
            f.write("#include <stdio.h>\n#include <string.h>\n#include <stdlib.h>\n")
            f.write("".join('#include "m%d.h"\n' % k for k in range(max(0, n - 5), n + 1)))
            for k in range(30):
                f.write("static long f%d(long x) { char b[64]; snprintf(b, sizeof b, \"%%ld\", x + %d); return atol(b); }\n" % (k, k))
            below = "m%d(x)" % (n - 1) if n else "x"
            f.write("long m%d(long x) { x = %s; for (int i = 0; i < 2; ++i) x = %s; return x; }\n" % (
                n, below, "f0(" * 1 + "x" + ")" + "".join(" + f%d(0)" % k for k in range(1, 30))))
    with open(os.path.join(directory, "src", "main.c"), "w") as f:
        f.write('#include <stdio.h>\n#include "m%d.h"\nint main(void) { printf("%%ld\\n", m%d(1)); return 0; }\n' % (modules - 1, modules - 1))
    with open(os.path.join(directory, "Makefile"), "w") as f:
        f.write("SOURCES := $(wildcard src/*.c)\nOBJECTS := $(SOURCES:src/%.c=build/%.o)\n"
                "build/program: build/liball.a build/main.o\n\tgcc -o $@ build/main.o build/liball.a\n"
                "build/liball.a: $(filter-out build/main.o,$(OBJECTS))\n\trm -f $@\n\tar rcs $@ $^\n"
                "build/%.o: src/%.c\n\t@mkdir -p build\n\tgcc -g -O1 -MMD -c -o $@ $<\n"
                "clean:\n\trm -rf build\n-include $(wildcard build/*.d)\n")
    return 1 + 2 * modules * sum(range(1, 30))  # what the program prints: each module adds sum(1..29) twice


def build(directory, scratch, context):
    need("gcc")
    need("make")
    modules = context.pick(20, 60, 300)
    expected = make_project(os.path.join(directory, "project"), modules)
    at = os.path.join(directory, "project")
    seconds = must(["make", "-C", at, "-j2"], 240).seconds
    printed = must([os.path.join(at, "build", "program")], 20).out.strip()
    check(printed == str(expected), "the program prints %s, not %d" % (printed, expected))
    again = must(["make", "-C", at, "-j2"], 60).out
    check("up to date" in again, "make finds something to do in a finished build: times do not hold\n%s" % tail(again))
    time.sleep(0.05)
    os.utime(os.path.join(at, "src", "m7.h"))
    touched = must(["make", "-C", at, "-j2"], 120).out.count("gcc -g")
    users = min(6, modules - 7)
    check(touched == users, "after touching a header make compiles %d files, not the %d that include it" % (touched, users))
    must(["make", "-C", at, "clean"], 60)
    check(not os.path.exists(os.path.join(at, "build")), "make clean left the build directory")
    return "%d modules in %.1f s" % (modules, seconds)


# --- fio --------------------------------------------------------------------------------------------------------------

FIO = {
    "sequential": ["--rw=write", "--bs=128k", "--ioengine=psync", "--end_fsync=1"],
    "random": ["--rw=randrw", "--bs=4k", "--ioengine=psync", "--fsync=64"],
    "many sizes": ["--rw=randwrite", "--bsrange=512-96k", "--bs_unaligned=1", "--ioengine=psync", "--end_fsync=1"],
    "mmap": ["--rw=randwrite", "--bs=4k", "--ioengine=mmap", "--fsync=256"],
    "direct, 16 deep": ["--rw=randwrite", "--bs=16k", "--ioengine=libaio", "--iodepth=16", "--direct=1"],
}
FIO_SIZES = {"sequential": (32, 192, 2048), "random": (8, 32, 256), "many sizes": (8, 48, 512), "mmap": (8, 32, 256),
             "direct, 16 deep": (8, 48, 512)}


def fio(directory, scratch, context):
    need("fio")
    figures = []
    for name, options in FIO.items():
        size = context.pick(*FIO_SIZES[name])
        done = must(["fio", "--name=t", "--directory=" + directory, "--size=%dm" % size, "--verify=crc32c", "--do_verify=1",
                     "--verify_fatal=1", "--randseed=42", "--output-format=normal", "--group_reporting"] + options, 180, cwd=scratch)
        check("verify:" not in done.out + done.err, "fio %s: %s" % (name, tail(done.out + done.err)))
        for path in glob.glob(os.path.join(directory, "t.*")):
            os.unlink(path)
        figures.append("%s %d MiB %.1f s" % (name, size, done.seconds))
    return "; ".join(figures)


# --- tar, find, du, rsync's way of writing ----------------------------------------------------------------------------

def tar(directory, scratch, context):
    source = context.tree
    count = sum(1 for _ in trees.walk(source))
    archive = os.path.join(directory, "tree.tar.gz")
    must(["tar", "--xattrs", "-czf", archive, "-C", os.path.dirname(source), "tree"], 120)
    out = os.path.join(directory, "out")
    os.mkdir(out)
    must(["tar", "--xattrs", "--xattrs-include=*", "-xpzf", archive, "-C", out], 180)
    must(["tar", "--xattrs", "-dzf", archive, "-C", out], 120)
    copy = os.path.join(directory, "copy")
    must(["cp", "-a", os.path.join(out, "tree"), copy], 180)
    listing = lambda at: sorted(must(["find", at, "-printf", r"%P %y %s %m\0"], 60).out.split("\0"))  # noqa: E731
    want = [x for x in listing(source) if " d " not in x]
    for at in (os.path.join(out, "tree"), copy):
        check([x for x in listing(at) if " d " not in x] == want, "find lists something else in %s" % at)
    apparent = lambda at: int(must(["du", "-s", "--apparent-size", "-B1", at], 60).out.split()[0])  # noqa: E731
    check(apparent(copy) == apparent(os.path.join(out, "tree")), "du differs between two equal copies")
    must(["rm", "-rf", copy], 120)
    check(not os.path.exists(copy), "rm -rf is done, but the tree is there")
    return "%d entries" % count


def rename_patterns(directory, scratch, context):
    """As rsync, editors and package managers write: aside, attributes, rename over the old one."""
    count = context.pick(100, 500, 5000)
    for turn in range(3):
        for n in range(count):
            final = os.path.join(directory, "file-%d" % n)
            aside = os.path.join(directory, ".file-%d.Xq3%d" % (n, turn))
            with open(aside, "wb") as f:
                f.write(b"%d:%d\n" % (turn, n) * (1 + n % 300))
            os.chmod(aside, 0o640 if turn % 2 else 0o604)
            os.utime(aside, ns=(1_500_000_000_000_000_000 + n, 1_600_000_000_000_000_000 + n))
            if turn == 1 and n % 5 == 0:
                os.link(final, final + "~")
            os.rename(aside, final)
    names = sorted(os.listdir(directory))
    want = sorted(["file-%d" % n for n in range(count)] + ["file-%d~" % n for n in range(0, count, 5)])
    check(names == want, "%d names, not %d" % (len(names), len(want)))
    for name in names:
        n, turn = int(name.strip("~")[5:]), 0 if name.endswith("~") else 2
        path = os.path.join(directory, name)
        info = os.stat(path)
        check(open(path, "rb").read() == b"%d:%d\n" % (turn, n) * (1 + n % 300), "%s has other content" % name)
        check(info.st_mtime_ns == 1_600_000_000_000_000_000 + n, "%s has mtime %d" % (name, info.st_mtime_ns))
        check(info.st_mode & 0o777 == 0o604 and info.st_nlink == 1, "%s has mode %o and %d links" % (name, info.st_mode, info.st_nlink))
    return "%d files, three times" % count


def interrupted_copy(directory, scratch, context):
    """A writer that dies by SIGKILL leaves a file system in which everybody else goes on."""
    path = os.path.join(directory, "victim")
    writer = subprocess.Popen(["dd", "if=/dev/zero", "of=" + path, "bs=1M", "count=4000"], stderr=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(path) and os.path.getsize(path) > 4 << 20, 60, "some megabytes written", 0.01)
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            check(not chunk.strip(b"\0"), "the file holds what nobody wrote")
    with open(path, "ab") as f:
        f.write(b"more")
    check(os.path.getsize(path) == size + 4, "the file cannot be appended to")
    os.unlink(path)


if __name__ == "__main__" and sys.argv[1] == "sqlite":
    sqlite_writer(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
