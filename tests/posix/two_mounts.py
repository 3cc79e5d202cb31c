"""Two mounts of one file system: names at once, content from close to open."""
import errno
import os
import random

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


@test(mounts=2)
def names_of_any_bytes_are_the_same_on_both(d, e):
    bytes_of_names = bytes(b for b in range(1, 256) if b != 0x2F)
    draw = random.Random(255)
    names = {bytes(draw.choices(bytes_of_names, k=length)) for length in [1, 2, 31, 254] * 5 + [255] * 20} - {b".", b".."}
    here, there = os.fsencode(d) + b"/", os.fsencode(e) + b"/"
    for i, name in enumerate(sorted(names)):
        if i % 2:
            here, there = there, here
        os.close(os.open(here + name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        must_fail(errno.EEXIST, os.mkdir, there + name)
        other = name[1:] + name[:1]
        os.rename(there + name, there + other)
        os.link(here + other, here + b"second")
        check(os.path.samefile(there + b"second", there + other), "two names of one file on the other mount")
        equal(set(os.listdir(there)), {other, b"second"}, "names on the other mount")
        if other != name:
            must_fail(errno.ENOENT, os.stat, here + name)
        os.unlink(here + other)
        os.unlink(there + b"second")
        equal(os.listdir(here), [], "names after the other mount removed them")
    must_fail(errno.ENAMETOOLONG, os.stat, there + b"\xff" * 256)
