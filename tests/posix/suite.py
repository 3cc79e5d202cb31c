"""What the themes of the suite share: calls that the os module lacks, other users, expectations, the runner's table."""
import ctypes
import errno
import functools
import os
import pickle
import struct
import sys
import traceback

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x400, 0x1000
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
UTIME_NOW, UTIME_OMIT = 0x3fffffff, 0x3ffffffe
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 0x10
ALICE, BOB, STAFF = 61001, 61002, 61100  # ids that nobody has

IS_ROOT = os.geteuid() == 0


class Failure(Exception):
    """What POSIX (or Linux) promises does not hold."""


class Skip(Exception):
    """Cannot be tested here; the text says why."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def equal(got, expected, what):
    if got != expected:
        raise Failure("%s: %r, not %r" % (what, got, expected))


def name_of(code):
    return errno.errorcode.get(code, str(code))


def refused(*codes, **_):
    """refused(errno.EACCES).call(os.open, path, ...): the call must fail with one of the codes."""
    class Expectation:
        @staticmethod
        def call(function, *args, **kwargs):
            try:
                function(*args, **kwargs)
            except OSError as e:
                if e.errno not in codes:
                    raise Failure("%s%r: %s, not %s" % (function.__name__, args, name_of(e.errno), "/".join(map(name_of, codes))))
                return
            raise Failure("%s%r: succeeded, not %s" % (function.__name__, args, "/".join(map(name_of, codes))))
    return Expectation


def must_fail(code, function, *args, **kwargs):
    refused(*(code if isinstance(code, tuple) else (code,))).call(function, *args, **kwargs)


def forked(setup, function):
    """Runs `function` in a child after `setup`; gives what it returns, raises what it raises."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(r)
            setup()
            outcome = (True, function())
        except OSError as e:
            outcome = (False, ("OSError", e.errno, str(e)))
        except (Failure, Skip) as e:
            outcome = (False, (type(e).__name__, 0, str(e)))
        except BaseException as e:  # noqa: the parent raises it again
            outcome = (False, (type(e).__name__, 0, "%s\n%s" % (e, traceback.format_exc(limit=-3))))
        with os.fdopen(w, "wb") as f:
            pickle.dump(outcome, f)
        os._exit(0)
    os.close(w)
    with os.fdopen(r, "rb") as f:
        data = f.read()
    os.waitpid(pid, 0)
    good, value = pickle.loads(data)
    if good:
        return value
    kind, code, text = value
    if kind == "OSError":
        raise OSError(code, text)
    raise (Skip if kind == "Skip" else Failure)(text)


def as_user(uid, function, gid=None, groups=()):
    """Needs root. The child is `uid` wholly: no capabilities."""
    def become():
        os.setgroups(list(groups))
        os.setresgid(*(3 * (gid if gid is not None else uid,)))
        os.setresuid(uid, uid, uid)
    return forked(become, function)


def may(uid, function, gid=None, groups=()):
    """True when the call succeeds, False on EACCES or EPERM."""
    try:
        as_user(uid, function, gid, groups)
        return True
    except PermissionError:
        return False


def call(name, *args):
    result = getattr(libc, name)(*args)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (name, os.strerror(code)))
    return result


def path_bytes(path):
    return os.fsencode(path)


def renameat2(old, new, flags):
    return call("renameat2", AT_FDCWD, path_bytes(old), AT_FDCWD, path_bytes(new), flags)


def linkat(fd, old, new, flags):
    return call("linkat", fd, path_bytes(old), AT_FDCWD, path_bytes(new), flags)


def fallocate(fd, mode, offset, length):
    return call("fallocate", fd, mode, ctypes.c_long(offset), ctypes.c_long(length))


def utimensat(path, atime, mtime, flags=0):
    """Times are nanoseconds, UTIME_NOW or UTIME_OMIT."""
    def spec(t):
        return (0, t) if t in (UTIME_NOW, UTIME_OMIT) else divmod(t, 10**9)
    times = (ctypes.c_long * 4)(*spec(atime), *spec(mtime))
    return call("utimensat", AT_FDCWD, path_bytes(path), times, flags)


def statx_birth(path):
    """(has it, nanoseconds)"""
    buffer = ctypes.create_string_buffer(256)
    call("statx", AT_FDCWD, path_bytes(path), AT_SYMLINK_NOFOLLOW, 0xfff, buffer)
    mask = struct.unpack_from("I", buffer, 0)[0]
    seconds, nanoseconds = struct.unpack_from("qI", buffer, 80)
    return bool(mask & 0x800), seconds * 10**9 + nanoseconds


def write_file(path, data=b"", mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        while data:
            data = data[os.write(fd, data):]
    finally:
        os.close(fd)
    return path


def read_file(path):
    with open(path, "rb", buffering=0) as f:
        return f.readall()


def mode_of(path):
    return os.lstat(path).st_mode & 0o7777


class umask:
    def __init__(self, mask):
        self.mask = mask

    def __enter__(self):
        self.before = os.umask(self.mask)

    def __exit__(self, *_):
        os.umask(self.before)


TESTS = []


def test(who="both", mounts=1):
    """Registers a test. who: "root" (needs to become others), "user" (run as an ordinary user), "both". It gets a
    fresh directory of its own; with mounts=2 the same directory as the other mount has it, too."""
    def register(function):
        TESTS.append((function.__module__, function.__name__, who, mounts, function))
        return functools.wraps(function)(function)
    return register
