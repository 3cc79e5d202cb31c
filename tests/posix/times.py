"""Times: what renews which, exact settings, birth."""
import os
import time

from suite import *  # noqa


def times(path):
    st = os.lstat(path)
    return st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns


@test()
def nanoseconds_now_and_omit(d):
    path = write_file(d + "/f")
    utimensat(path, 1_000_000_000_123_456_789, 987_654_321)
    a, m, c = times(path)
    equal((a, m), (1_000_000_000_123_456_789, 987_654_321), "times that were set")
    utimensat(path, UTIME_OMIT, 5)
    equal(times(path)[:2], (1_000_000_000_123_456_789, 5), "only mtime")
    before = time.time_ns() - 2 * 10**9
    utimensat(path, UTIME_NOW, UTIME_OMIT)
    a, m, _ = times(path)
    check(a > before and m == 5, "atime now, mtime as it was")
    before_change = times(path)[2]
    utimensat(path, UTIME_OMIT, UTIME_OMIT)
    equal(times(path)[1], 5, "nothing set")
    os.symlink("f", d + "/l")
    utimensat(d + "/l", 7, 8, AT_SYMLINK_NOFOLLOW)
    equal(times(d + "/l")[:2], (7, 8), "times of a link itself")
    check(times(path)[2] >= before_change, "ctime never goes back")
    utimensat(path, -1_500_000_000, -1)
    equal(times(path)[:2], (-1_500_000_000, -1), "times before 1970")


@test()
def what_renews_what(d):
    path = write_file(d + "/f", b"x")

    def change(what, action, modified):
        before = times(path)
        time.sleep(0.02)
        action()
        after = times(path)
        check(after[2] > before[2], "%s renews ctime" % what)
        (check(after[1] > before[1], "%s renews mtime" % what) if modified else
         equal(after[1], before[1], "mtime after " + what))

    change("chmod", lambda: os.chmod(path, 0o600), False)
    change("chown", lambda: os.chown(path, -1, os.getgid()), False)
    change("link", lambda: os.link(path, d + "/g"), False)
    change("unlink of another name", lambda: os.unlink(d + "/g"), False)
    change("setxattr", lambda: os.setxattr(path, "user.a", b"1"), False)
    change("write", lambda: write_file(path, b"yy"), True)
    change("truncate", lambda: os.truncate(path, 1), True)
    change("growth by truncate", lambda: os.truncate(path, 10), True)
    before = times(d)
    time.sleep(0.02)
    os.chmod(path, 0o644)
    equal(times(d), before, "times of the parent after a chmod inside")
    write_file(d + "/new")
    after = times(d)
    check(after[1] > before[1] and after[2] > before[2], "a new name renews the parent")


@test()
def a_read_after_a_change_renews_atime(d):
    path = write_file(d + "/f", b"x" * 5000)
    utimensat(path, 10**18, 15 * 10**17)
    read_file(path)
    check(times(path)[0] > 10**18, "atime after a read, when it was older than mtime")
    renewed = times(path)[0]
    read_file(path)
    equal(times(path)[0], renewed, "atime after another read")
    os.close(os.open(path, os.O_RDONLY))
    equal(times(path)[0], renewed, "atime after an open without a read")
    utimensat(path, 10**18, 15 * 10**17)
    os.close(os.open(path, os.O_RDONLY))
    equal(times(path)[0], 10**18, "atime after opening alone")


@test()
def birth(d):
    before = time.time_ns() - 2 * 10**9
    path = write_file(d + "/f", b"x")
    has, born = statx_birth(path)
    if not has:
        raise Skip("this kernel or file system has no time of birth")
    check(before < born < time.time_ns() + 2 * 10**9, "time of birth")
    time.sleep(0.02)
    write_file(path, b"yy")
    utimensat(path, 1, 1)
    os.rename(path, d + "/g")
    equal(statx_birth(d + "/g")[1], born, "time of birth after changes")
