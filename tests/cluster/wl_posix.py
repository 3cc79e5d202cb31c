"""The odd corners of POSIX that programs rely on. Every function gets a fresh directory, a scratch one on the local disk and
the context, and raises Failure."""
import errno
import fcntl
import mmap
import os
import random
import shutil
import stat
import time

from lib import IS_ROOT, Failure, Skip, check


def expect(code, function, *args, **more):
    """function must fail with this errno."""
    try:
        function(*args, **more)
    except OSError as error:
        check(error.errno == code, "%s: %s, should be %s" % (function.__name__, errno.errorcode.get(error.errno), errno.errorcode[code]))
        return
    raise Failure("%s%r succeeds, should be %s" % (function.__name__, args, errno.errorcode[code]))


def children(count, function, limit=60):
    """function(number) in `count` processes; Failure with what the first of them said."""
    read_end, write_end = os.pipe()
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                function(number)
                os._exit(0)
            except BaseException as error:  # noqa: B036
                os.write(write_end, ("process %d: %s: %s\n" % (number, type(error).__name__, error)).encode()[:1000])
                os._exit(1)
        pids.append(pid)
    os.close(write_end)
    end = time.monotonic() + limit
    bad = 0
    while pids:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            pids.remove(pid)
            bad += status != 0
        elif time.monotonic() > end:
            for p in pids:
                os.kill(p, 9)
            raise Failure("%d processes are not done after %d s" % (len(pids), limit))
        else:
            time.sleep(0.01)
    said = os.read(read_end, 5000).decode() if bad else ""
    os.close(read_end)
    check(not bad, "%d of %d processes failed: %s" % (bad, count, said))


def sparse(directory, scratch, context):
    path = os.path.join(directory, "sparse")
    size = 3 << 30
    marks = {0: b"begin", 4096 * 7 + 11: b"middle of nowhere", 1 << 30: b"one", (2 << 30) + 123457: b"two", size - 3: b"end"}
    with open(path, "wb") as f:
        for at, text in marks.items():
            f.seek(at)
            f.write(text)
        f.flush()
        os.fsync(f.fileno())
    check(os.path.getsize(path) == size, "size is %d" % os.path.getsize(path))
    used = os.stat(path).st_blocks * 512
    check(used < 64 << 20, "3 GiB of holes take %d MiB by st_blocks" % (used >> 20))
    with open(path, "rb") as f:
        for at, text in marks.items():
            f.seek(max(0, at - 100))
            around = f.read(min(at, 100) + len(text))
            check(around[min(at, 100):] == text, "at %d: %r" % (at, around[min(at, 100):]))
        for at in (5 << 20, (1 << 30) + 4096, (3 << 30) - (1 << 20)):
            f.seek(at)
            check(not f.read(65536).strip(b"\0"), "the hole at %d is not zero" % at)
    check_holes(path, marks)
    os.truncate(path, 4096 * 7 + 11 + 6)
    os.truncate(path, 1 << 20)
    with open(path, "rb") as f:
        f.seek(4096 * 7 + 11)
        check(f.read(17) == b"middle" + b"\0" * 11, "what was cut off comes back after growing again")
    return punch(os.path.join(directory, "punched"))


def check_holes(path, marks):
    fd = os.open(path, os.O_RDONLY)
    at, size = 0, os.fstat(fd).st_size
    data = []
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            check(error.errno == errno.ENXIO, "SEEK_DATA: %s" % error)
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        check(at > start, "SEEK_HOLE does not get on")
        data.append((start, at))
    os.close(fd)
    for mark, text in marks.items():
        check(any(a <= mark and mark + len(text) <= b for a, b in data), "SEEK_DATA steps over the data at %d: %s" % (mark, data[:8]))


def punch(path):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
    with open(path, "w+b") as f:
        f.write(b"x" * 300000)
        f.flush()
        if libc.fallocate(f.fileno(), 3, 50000, 100000) != 0:  # punch a hole, keep the size
            code = ctypes.get_errno()
            check(code == errno.EOPNOTSUPP, "punching a hole: %s" % os.strerror(code))
            return "no hole punching here"
        f.seek(0)
        check(f.read() == b"x" * 50000 + b"\0" * 100000 + b"x" * 150000, "a punched hole is wrong")
    return ""


def append(directory, scratch, context):
    path = os.path.join(directory, "log")
    each = context.pick(100, 400, 3000)
    line = lambda p, n: (b"%d:%d:" % (p, n)).ljust(60 + (p * 7 + n * 13) % 200, b".") + b"\n"  # noqa: E731

    def writer(number):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for n in range(each):
            text = line(number, n)
            check(os.write(fd, text) == len(text), "short write")
            if n % 100 == 99:
                os.fsync(fd)
        os.close(fd)

    children(6, writer)
    got = open(path, "rb").read().splitlines(keepends=True)
    check(len(got) == 6 * each, "%d lines, not %d" % (len(got), 6 * each))
    for number in range(6):
        mine = [g for g in got if g.startswith(b"%d:" % number)]
        check(mine == [line(number, n) for n in range(each)], "the lines of process %d are not whole or not in order" % number)
    return "6 x %d lines" % each


def locks(directory, scratch, context):
    path = os.path.join(directory, "counter")
    each = context.pick(50, 200, 2000)
    for take in (fcntl.lockf, fcntl.flock):
        with open(path, "w") as f:
            f.write("0")

        def count(number):
            for _ in range(each):
                fd = os.open(path, os.O_RDWR)
                take(fd, fcntl.LOCK_EX)
                value = int(os.pread(fd, 20, 0))
                os.pwrite(fd, b"%d" % (value + 1), 0)
                take(fd, fcntl.LOCK_UN)
                os.close(fd)

        children(4, count)
        check(open(path).read() == str(4 * each), "%s: the counter is %s, not %d" % (take.__name__, open(path).read(), 4 * each))
    held = open(path, "r+")
    fcntl.lockf(held, fcntl.LOCK_EX, 10, 0)

    def other(number):
        with open(path, "r+") as f:
            expect(errno.EAGAIN, fcntl.lockf, f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5)
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 10)  # next to it is free

    children(1, other)
    held.close()

    def dies(number):
        f = open(path, "r+")
        fcntl.lockf(f, fcntl.LOCK_EX)

    children(1, dies)
    with open(path, "r+") as f:
        fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a dead process holds nothing


def mapped(directory, scratch, context):
    path = os.path.join(directory, "mapped")
    size = 8 << 20
    with open(path, "w+b") as f:
        f.truncate(size)
        view = mmap.mmap(f.fileno(), size)
        rng = random.Random(1)
        want = bytearray(size)
        for n in range(2000):
            at = rng.randrange(size - 100)
            text = b"%d;" % n * 5
            view[at:at + len(text)] = text
            want[at:at + len(text)] = text
        view.flush()
        check(open(path, "rb").read() == want, "read() does not see what was mapped and synced")
        os.pwrite(f.fileno(), b"by pwrite", 5 << 20)
        check(view[5 << 20:(5 << 20) + 9] == b"by pwrite", "the mapping does not see what pwrite() wrote")

        def other(number):
            with open(path, "r+b") as g:
                with mmap.mmap(g.fileno(), size) as theirs:
                    theirs[100:105] = b"child"
                    theirs.flush()

        children(1, other)
        check(view[100:105] == b"child", "a shared mapping does not see the other process's write")
        view.close()
        os.fsync(f.fileno())
    with open(path, "rb") as f:
        f.seek(100)
        check(f.read(5) == b"child", "what was mapped is gone after close")
        private = mmap.mmap(f.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        private[0:4] = b"mine"
        private.close()
    check(open(path, "rb").read(4) != b"mine", "a private mapping was written to the file")


def unlinked_open(directory, scratch, context):
    inner = os.path.join(directory, "d")
    os.mkdir(inner)
    path = os.path.join(inner, "file")
    f = open(path, "w+b")
    f.write(b"a" * 300000)
    os.unlink(path)
    check(os.listdir(inner) == [], "the name is still listed")
    check(os.fstat(f.fileno()).st_nlink == 0, "nlink is %d" % os.fstat(f.fileno()).st_nlink)
    f.write(b"b" * 300000)
    f.flush()
    os.fsync(f.fileno())
    os.rmdir(inner)
    f.seek(0)
    check(f.read() == b"a" * 300000 + b"b" * 300000, "an unlinked open file lost its content")
    os.ftruncate(f.fileno(), 10)
    check(os.fstat(f.fileno()).st_size == 10, "an unlinked open file cannot be cut")
    f.close()
    old, new = os.path.join(directory, "old"), os.path.join(directory, "new")
    for name in (old, new):
        with open(name, "w") as f:
            f.write(name)
    with open(old) as held:
        os.rename(new, old)
        check(held.read() == old, "a file that was renamed over cannot be read by who has it open")
    check(open(old).read() == new, "rename did not replace")


def names(directory, scratch, context):
    base = os.fsencode(directory)
    odd = [b"n" * 255, b"new\nline", b"\xff\xfe\x80", "\u2603 \U0001f600".encode(), b" ", b"-rf", b"*", b"back\\slash", b"...", b"a\tb",
           "\u0301".encode(), b"CON", b"x" * 254 + b"\xff", b"\x01", b"~", b"$(touch x)"]
    for name in odd:
        with open(os.path.join(base, name), "wb") as f:
            f.write(name)
    check(sorted(os.listdir(base)) == sorted(odd), "the listing differs: %r" % (set(os.listdir(base)) ^ set(odd)))
    for name in odd:
        check(open(os.path.join(base, name), "rb").read() == name, "%r holds something else" % name)
    upper, lower = os.path.join(base, b"Case"), os.path.join(base, b"case")
    open(upper, "w").close()
    expect(errno.ENOENT, os.stat, lower)
    expect(errno.ENAMETOOLONG, os.mkdir, os.path.join(base, b"n" * 256))
    expect(errno.ENOENT, os.stat, os.path.join(base, b"nothing", b"below"))
    expect(errno.ENOTDIR, os.stat, os.path.join(base, b"*", b"below"))
    expect(errno.EEXIST, os.mkdir, os.path.join(base, b"*"))
    for name in odd:
        os.unlink(os.path.join(base, name))


def deep(directory, scratch, context):
    """Deeper than any path may be long: only relative steps get there."""
    levels, name = context.pick(40, 120, 500), "level" * 20
    here = os.open(directory, os.O_RDONLY)
    for n in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    fd = os.open("bottom", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here)
    os.write(fd, b"here")
    os.close(fd)
    for n in range(levels):
        above = os.open("..", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = above
    check(os.path.samestat(os.fstat(here), os.stat(directory)), "going up as often as down ends elsewhere")
    os.close(here)
    shutil.rmtree(directory)
    check(not os.path.exists(directory), "rmtree left something")
    os.mkdir(directory)
    return "%d levels" % levels


def links(directory, scratch, context):
    path = lambda n: os.path.join(directory, n)  # noqa: E731
    target = "t/" * 2047 + "x"
    os.symlink(target, path("long"))
    check(os.readlink(path("long")) == target, "a symlink of %d bytes reads otherwise" % len(target))
    check(os.lstat(path("long")).st_size == len(target), "st_size of a symlink is %d" % os.lstat(path("long")).st_size)
    os.symlink("b", path("a"))
    os.symlink("a", path("b"))
    expect(errno.ELOOP, open, path("a"))
    with open(path("file"), "w") as f:
        f.write("x")
    os.mkdir(path("dir"))
    for n in range(50):
        os.link(path("file"), path("dir/link-%d" % n))
    check(os.stat(path("file")).st_nlink == 51, "51 names, nlink is %d" % os.stat(path("file")).st_nlink)
    os.unlink(path("file"))
    with open(path("dir/link-3"), "a") as f:
        f.write("y")
    check(open(path("dir/link-7")).read() == "xy", "two names of a file show different content")
    check(os.stat(path("dir/link-7")).st_nlink == 50, "nlink is %d" % os.stat(path("dir/link-7")).st_nlink)
    os.rename(path("dir/link-1"), path("dir/link-2"))  # two names of one file: nothing happens
    check(os.path.exists(path("dir/link-1")), "rename of one name of a file over another removed it")
    expect(errno.EPERM, os.link, path("dir"), path("dir2"))


def directories(directory, scratch, context):
    path = lambda n: os.path.join(directory, n)  # noqa: E731
    os.makedirs(path("a/b/c"))
    os.makedirs(path("x/y"))
    with open(path("a/b/c/file"), "w") as f:
        f.write("moved")
    expect(errno.ENOTEMPTY, os.rmdir, path("a/b"))
    expect(errno.EINVAL, os.rename, path("a"), path("a/b/c/a"))
    expect(errno.ENOTEMPTY, os.rename, path("x"), path("a"))
    expect(errno.EISDIR, os.rename, path("a/b/c/file"), path("x"))
    expect(errno.ENOTDIR, os.rename, path("x"), path("a/b/c/file"))
    os.rename(path("a/b"), path("x/y/b"))
    check(open(path("x/y/b/c/file")).read() == "moved", "a moved directory lost its file")
    check(os.listdir(path("a")) == [], "a moved directory is still at its old place")
    os.mkdir(path("x/empty"))
    os.rename(path("x/y/b"), path("x/empty"))
    check(os.path.samestat(os.stat(path("x/empty/..")), os.stat(path("x"))), ".. of a moved directory is wrong")
    fd = os.open(path("a"), os.O_RDONLY)
    os.rmdir(path("a"))
    expect(errno.ENOENT, os.open, "new", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd)
    os.close(fd)


def attributes(directory, scratch, context):
    path = os.path.join(directory, "file")
    with open(path, "w") as f:
        f.write("x")
    for mode in (0o000, 0o777, 0o4711, 0o2755, 0o1644, 0o600):
        os.chmod(path, mode)
        check(stat.S_IMODE(os.stat(path).st_mode) == mode, "mode %o became %o" % (mode, os.stat(path).st_mode))
    for ns in (0, 1, -5_000_000_001, 2**31 * 10**9 + 7, 4_102_444_800_999_999_999):
        os.utime(path, ns=(ns, ns + 3))
        info = os.stat(path)
        check((info.st_atime_ns, info.st_mtime_ns) == (ns, ns + 3), "times %d became %d, %d" % (ns, info.st_atime_ns, info.st_mtime_ns))
    before = os.stat(path)
    time.sleep(0.02)
    os.chmod(path, 0o644)
    check(os.stat(path).st_ctime_ns > before.st_ctime_ns, "chmod does not move ctime")
    with open(path, "a") as f:
        f.write("y")
    check(os.stat(path).st_mtime_ns > 4_102_444_800_999_999_999 or os.stat(path).st_mtime_ns < time.time_ns() + 10**9,
          "writing does not set mtime")
    for name, value in (("user.a", b""), ("user.b", bytes(range(256))), ("user.c", b"v" * 2000), ("user." + "n" * 250, b"long name")):
        os.setxattr(path, name, value)
        check(os.getxattr(path, name) == value, "xattr %s reads otherwise" % name)
    check(sorted(n for n in os.listxattr(path) if n.startswith("user.")) == sorted(["user.a", "user.b", "user.c", "user." + "n" * 250]),
          "listxattr: %s" % os.listxattr(path))
    expect(errno.EEXIST, os.setxattr, path, "user.a", b"2", os.XATTR_CREATE)
    expect(errno.ENODATA, os.setxattr, path, "user.z", b"2", os.XATTR_REPLACE)
    os.removexattr(path, "user.b")
    expect(errno.ENODATA, os.getxattr, path, "user.b")
    info = os.statvfs(directory)
    check(info.f_blocks > 0 and info.f_bfree <= info.f_blocks and info.f_namemax == 255, "statvfs: %s" % (info,))


def permissions(directory, scratch, context):
    if not IS_ROOT:
        raise Skip("needs root, to be somebody else")
    path = lambda n: os.path.join(directory, n)  # noqa: E731
    os.chmod(directory, 0o755)
    os.mkdir(path("closed"), 0o700)
    os.mkdir(path("sticky"))
    os.chmod(path("sticky"), 0o1777)
    with open(path("sticky/mine"), "w") as f:
        f.write("root's")
    os.mkdir(path("group"))
    os.chown(path("group"), 0, 4242)
    os.chmod(path("group"), 0o2775)

    def nobody(number):
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        expect(errno.EACCES, os.listdir, path("closed"))
        expect(errno.EACCES, os.mkdir, path("new"))
        expect(errno.EPERM, os.unlink, path("sticky/mine"))
        expect(errno.EACCES, open, path("sticky/mine"), "a")
        expect(errno.EPERM, os.chmod, path("sticky/mine"), 0o777)
        check(open(path("sticky/mine")).read() == "root's", "cannot read what all may read")
        with open(path("sticky/theirs"), "w") as f:
            f.write("x")
        os.chmod(path("sticky/theirs"), 0o600)
        expect(errno.EPERM, os.chown, path("sticky/theirs"), 0, 0)

    children(1, nobody)
    info = os.stat(path("sticky/theirs"))
    check((info.st_uid, info.st_gid) == (65534, 65534), "owner is %d:%d" % (info.st_uid, info.st_gid))
    open(path("group/inherits"), "w").close()
    os.mkdir(path("group/dir"))
    check(os.stat(path("group/inherits")).st_gid == 4242, "a set-group-id directory does not pass on its group")
    check(os.stat(path("group/dir")).st_mode & stat.S_ISGID, "a set-group-id directory does not pass on the bit")


def exclusive(directory, scratch, context):
    """Of several that create, link or rename the same thing exactly one wins."""
    rounds = context.pick(20, 60, 400)
    wins = os.path.join(scratch, "wins")

    def rival(number):
        fd = os.open(wins, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for n in range(rounds):
            for what in ("file", "dir"):
                path = os.path.join(directory, "%s-%d" % (what, n))
                try:
                    if what == "file":
                        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                    else:
                        os.mkdir(path)
                    os.write(fd, ("%s-%d\n" % (what, n)).encode())
                except FileExistsError:
                    pass

    children(4, rival)
    won = open(wins).read().split()
    check(len(won) == len(set(won)) == 2 * rounds, "%d wins for %d things" % (len(won), 2 * rounds))
    return "%d races" % (2 * rounds)


def replaced_while_read(directory, scratch, context):
    """A name that is renamed over again and again is never missing and never half."""
    path = os.path.join(directory, "current")
    turns = context.pick(100, 300, 3000)
    with open(path, "w") as f:
        f.write("0" * 5000)

    def player(number):
        if number == 0:
            for n in range(1, turns):
                with open(path + ".new", "w") as f:
                    f.write(chr(48 + n % 70) * 5000)
                os.rename(path + ".new", path)
            open(path + ".done", "w").close()
            return
        while not os.path.exists(path + ".done"):
            text = open(path).read()
            check(len(text) == 5000 and len(set(text)) == 1, "a half file is seen: %d bytes, %s" % (len(text), set(text)))

    children(3, player)
    return "%d times" % turns


def crowded(directory, scratch, context):
    """Listing a directory while others remove from it: who stays is listed exactly once."""
    count = context.pick(1000, 5000, 50000)
    for n in range(count):
        os.close(os.open(os.path.join(directory, "entry-%06d" % n), os.O_CREAT | os.O_WRONLY))
    stay = {"entry-%06d" % n for n in range(0, count, 2)}

    def player(number):
        if number == 0:
            for n in range(1, count, 2):
                os.unlink(os.path.join(directory, "entry-%06d" % n))
            os.mkdir(os.path.join(scratch, "done"))
            return
        rounds = 0
        while not os.path.exists(os.path.join(scratch, "done")) or rounds < 2:
            rounds += 1
            listed = [e.name for e in os.scandir(directory)]
            check(len(listed) == len(set(listed)), "names are listed twice: %d of %d differ" % (len(set(listed)), len(listed)))
            check(stay <= set(listed), "%d entries that stay are not listed" % len(stay - set(listed)))

    children(3, player, 120)
    check(set(os.listdir(directory)) == stay, "the last listing differs")
    shutil.rmtree(directory)
    os.mkdir(directory)
    return "%d entries" % count


def written_in_parts(directory, scratch, context):
    """Random writes, cuts and reads of one file against a copy in memory, through several descriptors."""
    path = os.path.join(directory, "model")
    rng = random.Random(99)
    model = bytearray()
    fds = [os.open(path, os.O_RDWR | os.O_CREAT, 0o644) for _ in range(3)]
    for n in range(context.pick(300, 1500, 20000)):
        fd = rng.choice(fds)
        roll = rng.random()
        if roll < 0.55:
            at, size = rng.randrange(0, 3 << 20), rng.choice([1, 100, 4096, 5000, 70000, 300000])
            text = rng.randbytes(size) if rng.random() < 0.5 else bytes([n % 256]) * size
            os.pwrite(fd, text, at)
            if at > len(model):
                model.extend(b"\0" * (at - len(model)))
            model[at:at + size] = text
        elif roll < 0.65:
            size = rng.randrange(0, 3 << 20)
            os.ftruncate(fd, size)
            del model[size:]
            model.extend(b"\0" * (size - len(model)))
        elif roll < 0.70:
            os.fsync(fd)
        elif roll < 0.73:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        else:
            at, size = rng.randrange(0, 3 << 20), rng.choice([1, 4096, 100000])
            check(os.pread(fd, size, at) == bytes(model[at:at + size]), "step %d: %d bytes at %d read otherwise" % (n, size, at))
        check(os.fstat(fd).st_size == len(model), "step %d: size is %d, not %d" % (n, os.fstat(fd).st_size, len(model)))
    for fd in fds:
        os.close(fd)
    check(open(path, "rb").read() == bytes(model), "the file at the end differs")


def copied_in_kernel(directory, scratch, context):
    source, target = os.path.join(directory, "source"), os.path.join(directory, "target")
    content = random.Random(5).randbytes(3 << 20)
    with open(source, "wb") as f:
        f.write(content)
    with open(source, "rb") as f, open(target, "wb") as g:
        left = len(content)
        while left:
            done = os.copy_file_range(f.fileno(), g.fileno(), left)
            check(done > 0, "copy_file_range stops")
            left -= done
    check(open(target, "rb").read() == content, "copy_file_range copied something else")
    with open(source, "rb") as f, open(target, "wb") as g:
        at = 0
        while at < len(content):
            at += os.sendfile(g.fileno(), f.fileno(), at, len(content) - at)
    check(open(target, "rb").read() == content, "sendfile copied something else")
