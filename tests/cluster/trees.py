"""Real trees to copy, and their comparison byte for byte and attribute for attribute."""
import os
import stat
import subprocess

from lib import IS_ROOT, Failure, check, must

SOURCES = ["/usr/include", "/usr/share"]
BIGGEST = 4 << 20  # of a sampled file; bigger ones are made by the tests that want them


def walk(root):
    """Every path below root (bytes, relative), parents first, in a fixed order."""
    root = os.fsencode(root)
    pending = [b""]
    while pending:
        relative = pending.pop()
        yield relative
        path = os.path.join(root, relative) if relative else root
        if stat.S_ISDIR(os.lstat(path).st_mode):
            names = sorted(os.listdir(path), reverse=True)
            pending.extend(os.path.join(relative, n) if relative else n for n in names)


def sample(destination, files):
    """Copies about `files` real files with their directories, spread over all of SOURCES, and adds the shapes that they
    lack. Gives how many entries there are."""
    picked = pick(files)
    os.makedirs(destination)
    listing = b"\0".join(picked) + b"\0"
    tar_out = ["tar", "--create", "--directory=/", "--null", "--no-recursion", "--files-from=-", "--hard-dereference"]
    maker = subprocess.Popen(tar_out, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    taker = subprocess.Popen(["tar", "--extract", "--preserve-permissions", "--directory=" + destination], stdin=maker.stdout)
    maker.stdout.close()
    maker.stdin.write(listing)
    maker.stdin.close()
    check(taker.wait(300) == 0, "tar could not make the sample tree")
    maker.wait(60)
    add_shapes(os.path.join(destination, "shapes"))
    return sum(1 for _ in walk(destination))


def pick(files):
    found = []
    for source in SOURCES:
        for directory, names, leaves in os.walk(os.fsencode(source)):
            names.sort()
            found.extend(os.path.join(directory, leaf) for leaf in sorted(leaves))
    keep = []
    for path in found:
        try:
            info = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISLNK(info.st_mode) or (stat.S_ISREG(info.st_mode) and info.st_size <= BIGGEST and os.access(path, os.R_OK)):
            keep.append(path)
    # Whole runs of neighbours, so that directories stay as full as they are.
    run = 200
    runs = [keep[i:i + run] for i in range(0, len(keep), run)]
    wanted = max(1, min(len(runs), (files + run - 1) // run))
    chosen = [path for i in range(wanted) for path in runs[i * len(runs) // wanted]]
    directories = set()
    for path in chosen:
        parent = os.path.dirname(path)
        while parent not in (b"/", b"") and parent not in directories:
            directories.add(parent)
            parent = os.path.dirname(parent)
    return [p.lstrip(b"/") for p in sorted(directories) + chosen]


def add_shapes(base):
    """One of everything that a tree can hold."""
    os.makedirs(os.path.join(base, "empty directory"))
    join = lambda name: os.path.join(base, name)  # noqa: E731

    def write(name, content, mode=0o644):
        with open(join(name), "wb") as f:
            f.write(content)
        os.chmod(join(name), mode)

    write("empty", b"")
    write("one", b"x")
    write("secret", b"for nobody" * 1000, 0o000 if IS_ROOT else 0o400)
    write("setuid", b"#!/bin/sh\n", 0o4755)
    write("page", bytes(range(256)) * 16)
    write("page and one", bytes(range(256)) * 16 + b"!")
    write("big", b"".join(b"%015d\n" % i for i in range(400000)))
    with open(join("sparse"), "wb") as f:
        f.seek(50 << 20)
        f.write(b"end")
        f.truncate(60 << 20)
    os.link(join("one"), join("one, linked"))
    os.link(join("big"), os.path.join(base, "empty directory", "..", "big, linked"))
    os.symlink("one", join("link"))
    os.symlink("nowhere/" + "x" * 200, join("dangling"))
    os.symlink("y" * 1000, join("long link"))
    os.mkfifo(join("pipe"), 0o640)
    os.makedirs(join("sticky"))
    os.chmod(join("sticky"), 0o1777)
    os.mkdir(join("closed"))
    if IS_ROOT:
        os.mknod(join("null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(join("disk"), stat.S_IFBLK | 0o660, os.makedev(253, 16777))
        os.chown(join("page"), 12345, 54321)
        os.chown(join("link"), 33, 44, follow_symlinks=False)
    for name in (b"na\xffme", "n\u00e4me \u2603".encode(), b"-rf *", b"new\nline", b"back\\slash", b"n" * 255):
        with open(os.path.join(os.fsencode(base), name), "wb") as f:
            f.write(name)
    try:
        os.setxattr(join("one"), "user.colour", b"blue\0green")
        os.setxattr(join("big"), "user.long", b"v" * 2000)
        os.setxattr(join("empty directory"), "user.of.directory", b"")
        if IS_ROOT:
            os.setxattr(join("big"), "trusted.t", b"1")
    except OSError:
        pass  # this local file system has none; other tests make them on the mount
    os.utime(join("one"), ns=(1_000_000_000_123_456_789, 1_111_111_111_987_654_321))
    os.utime(join("link"), ns=(5, 1_234_567_890_000_000_001), follow_symlinks=False)
    os.utime(join("empty"), ns=(-1_500_000_000, -1_500_000_000))  # before 1970
    os.chmod(join("closed"), 0o555)


def copy(source, destination, limit=300):
    """cp -a; gives the seconds it took."""
    return must(["cp", "-a", source, destination], limit).seconds


def xattrs(path):
    spaces = ("user.", "trusted.") if IS_ROOT else ("user.",)
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {n: os.getxattr(path, n, follow_symlinks=False) for n in names if n.startswith(spaces)}


def attributes(path, info):
    kind = stat.S_IFMT(info.st_mode)
    out = {"mode": oct(info.st_mode), "uid": info.st_uid, "gid": info.st_gid, "mtime": info.st_mtime_ns}
    if stat.S_ISLNK(kind):
        out["target"] = os.readlink(path)
    if stat.S_ISREG(kind):
        out["size"] = info.st_size
    if not stat.S_ISDIR(kind):
        out["links"] = info.st_nlink
    if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
        out["device"] = (os.major(info.st_rdev), os.minor(info.st_rdev))
    for name, value in xattrs(path).items():
        out["xattr " + name] = value
    return out


def same_content(a, b):
    with open(a, "rb", buffering=0) as left, open(b, "rb", buffering=0) as right:
        while True:
            x, y = left.read(1 << 20), right.read(1 << 20)
            if x != y:
                return False
            if not x:
                return True


def compare(expected, actual, most=10):
    """Failure that names the first differences; else how many entries were the same."""
    wrong = []
    left, right = os.fsencode(expected), os.fsencode(actual)
    names = list(walk(expected))
    there = set(walk(actual))
    for missing in sorted(set(names) - there)[:most]:
        wrong.append("missing: %r" % missing)
    for extra in sorted(there - set(names))[:most]:
        wrong.append("not in the original: %r" % extra)
    groups = {}  # (side, inode) -> paths, of what has several names
    for name in names:
        if name not in there:
            continue
        a, b = os.path.join(left, name) if name else left, os.path.join(right, name) if name else right
        info, other = os.lstat(a), os.lstat(b)
        want, got = attributes(a, info), attributes(b, other)
        for key in sorted(set(want) | set(got)):
            if want.get(key) != got.get(key):
                wrong.append("%r: %s is %r, should be %r" % (name, key, got.get(key), want.get(key)))
        if stat.S_ISREG(info.st_mode) and stat.S_ISREG(other.st_mode):
            if info.st_size == other.st_size and not same_content(a, b):
                wrong.append("%r: other content" % name)
            if info.st_nlink > 1:
                groups.setdefault(("expected", info.st_ino), []).append(name)
            if other.st_nlink > 1:
                groups.setdefault(("actual", other.st_ino), []).append(name)
        if len(wrong) > most:
            break
    else:
        sides = {side: sorted(paths for (s, _), paths in groups.items() if s == side) for side in ("expected", "actual")}
        if sides["expected"] != sides["actual"]:
            wrong.append("hard links differ: %r, should be %r" % (sides["actual"][:3], sides["expected"][:3]))
    if wrong:
        raise Failure("%s differs from %s:\n%s" % (actual, expected, "\n".join(wrong[:most])))
    return len(names)


def disk_use(directory):
    """Bytes allocated below it, by what lies at its top."""
    out = {}
    for path in walk(directory):
        info = os.lstat(os.path.join(os.fsencode(directory), path) if path else os.fsencode(directory))
        top = os.fsdecode(path.split(b"/")[0])
        out[top] = out.get(top, 0) + info.st_blocks * 512
    return out
