"""Two mounts of one file system: names at once, content from close to open."""
import errno
import os

from suite import *  # noqa


@test(mounts=2)
def names_exclude_each_other(d, e):
    os.mkdir(d + "/lock")
    must_fail(errno.EEXIST, os.mkdir, e + "/lock")
    os.rmdir(e + "/lock")
    os.mkdir(d + "/lock")
    os.close(os.open(e + "/f", os.O_CREAT | os.O_EXCL))
    must_fail(errno.EEXIST, os.open, d + "/f", os.O_CREAT | os.O_EXCL)


@test(mounts=2)
def what_is_closed_is_read_by_who_opens_a_new_name(d, e):
    for i in range(20):
        write_file(d + "/f%d" % i, b"%d" % i * 1000)
        equal(read_file(e + "/f%d" % i), b"%d" % i * 1000, "content")


@test(who="root", mounts=2)
def permissions_hold_on_both(d, e):
    path = write_file(d + "/f", b"x", 0o600)
    os.chown(path, ALICE, ALICE)
    check(may(ALICE, lambda: read_file(e + "/f")), "the owner reads")
    check(not may(BOB, lambda: read_file(e + "/f")), "another does not")
