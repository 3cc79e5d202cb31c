"""POSIX access control lists: enforced, inherited, in step with the mode."""
import errno
import os
import struct

from suite import *  # noqa

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32


def acl(*entries):
    """acl((USER_OBJ, 6), (USER, 6, ALICE), ...)"""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", e[0], e[1], e[2] if len(e) > 2 else 0xffffffff) for e in entries)


def entries_of(value):
    return [struct.unpack_from("<HHI", value, at) for at in range(4, len(value), 8)]


def permissions(path, name=ACCESS):
    return {(tag, id if tag in (USER, GROUP) else None): bits for tag, bits, id in entries_of(os.getxattr(path, name))}


def reads(path):
    return lambda: os.close(os.open(path, os.O_RDONLY))


def writes(path):
    return lambda: os.close(os.open(path, os.O_WRONLY))


@test(who="root")
def named_users_and_groups(d):
    path = write_file(d + "/f", b"x", 0o600)
    os.setxattr(path, ACCESS, acl((USER_OBJ, 6), (USER, 4, ALICE), (GROUP_OBJ, 0), (GROUP, 6, STAFF), (MASK, 6), (OTHER, 0)))
    equal(mode_of(path), 0o660, "mode: the group's bits are the mask")
    check(may(ALICE, reads(path)) and not may(ALICE, writes(path)), "a named user")
    check(may(BOB, writes(path), groups=(STAFF,)) and not may(BOB, reads(path)), "a named group")
    os.chmod(path, 0o640)  # narrows the mask
    check(not may(BOB, writes(path), groups=(STAFF,)) and may(BOB, reads(path), groups=(STAFF,)), "the mask")
    equal(permissions(path)[(MASK, None)], 4, "mask after chmod")
    equal(permissions(path)[(GROUP_OBJ, None)], 0, "owning group after chmod")
    check(not may(ALICE, writes(path)), "a named user within the mask")


@test(who="root")
def a_named_user_may_have_less_than_others(d):
    path = write_file(d + "/f", b"x", 0o644)
    os.setxattr(path, ACCESS, acl((USER_OBJ, 6), (USER, 0, ALICE), (GROUP_OBJ, 4), (MASK, 4), (OTHER, 4)))
    check(not may(ALICE, reads(path)) and may(BOB, reads(path)), "an entry that takes away")


@test(who="root")
def directories_and_search(d):
    os.mkdir(d + "/dir")
    write_file(d + "/dir/f")
    os.chmod(d + "/dir", 0o700)
    os.setxattr(d + "/dir", ACCESS, acl((USER_OBJ, 7), (USER, 7, ALICE), (GROUP_OBJ, 0), (MASK, 7), (OTHER, 0)))
    check(may(ALICE, lambda: write_file(d + "/dir/new")), "a named user makes files")
    check(not may(BOB, lambda: os.stat(d + "/dir/f")), "another does not even look")
    os.removexattr(d + "/dir", ACCESS)
    check(not may(ALICE, lambda: os.stat(d + "/dir/f")) or mode_of(d + "/dir") & 0o070, "after the list went")


@test()
def in_step_with_the_mode(d):
    path = write_file(d + "/f")
    os.setxattr(path, ACCESS, acl((USER_OBJ, 7), (GROUP_OBJ, 5), (OTHER, 1)))
    equal(mode_of(path), 0o751, "mode from a list that says no more")
    must_fail(errno.ENODATA, os.getxattr, path, ACCESS)
    os.setxattr(path, ACCESS, acl((USER_OBJ, 6), (USER, 7, BOB), (GROUP_OBJ, 4), (MASK, 5), (OTHER, 0)))
    equal(mode_of(path), 0o650, "mode from a list with a mask")
    os.chmod(path, 0o777)
    equal(permissions(path), {(USER_OBJ, None): 7, (USER, BOB): 7, (GROUP_OBJ, None): 4, (MASK, None): 7, (OTHER, None): 7},
          "list after chmod")


@test()
def defaults_are_inherited(d):
    os.mkdir(d + "/dir")
    default = acl((USER_OBJ, 7), (USER, 6, BOB), (GROUP_OBJ, 5), (MASK, 7), (OTHER, 0))
    os.setxattr(d + "/dir", DEFAULT, default)
    with umask(0o077):  # does not count where there is a default list
        os.close(os.open(d + "/dir/f", os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir(d + "/dir/sub", 0o777)
        os.mkfifo(d + "/dir/p", 0o640)
    equal(mode_of(d + "/dir/f"), 0o660, "mode of a file inside")
    equal(permissions(d + "/dir/f"), {(USER_OBJ, None): 6, (USER, BOB): 6, (GROUP_OBJ, None): 5, (MASK, None): 6, (OTHER, None): 0},
          "list of a file inside")
    equal(os.getxattr(d + "/dir/sub", DEFAULT), default, "default of a directory inside")
    equal(permissions(d + "/dir/sub")[(USER, BOB)], 6, "list of a directory inside")
    equal(mode_of(d + "/dir/p"), 0o640, "mode of a fifo inside")
    with umask(0o077):
        write_file(d + "/outside", b"", 0o666)
    equal(mode_of(d + "/outside"), 0o600, "the umask counts elsewhere")
    os.removexattr(d + "/dir", DEFAULT)
    with umask(0o077):
        write_file(d + "/dir/g", b"", 0o666)
    equal(mode_of(d + "/dir/g"), 0o600, "after the default went")
    os.setxattr(d + "/dir", DEFAULT, acl((USER_OBJ, 7), (GROUP_OBJ, 0), (OTHER, 0)))
    write_file(d + "/dir/h", b"", 0o666)
    equal(mode_of(d + "/dir/h"), 0o600, "a default that is as short as a mode")
    must_fail(errno.ENODATA, os.getxattr, d + "/dir/h", ACCESS)


@test(who="root")
def what_is_refused(d):
    path = write_file(d + "/f")
    os.chown(path, ALICE, ALICE)
    good = acl((USER_OBJ, 6), (GROUP_OBJ, 4), (OTHER, 4))
    must_fail(errno.EPERM, as_user, BOB, lambda: os.setxattr(path, ACCESS, good))
    as_user(ALICE, lambda: os.setxattr(path, ACCESS, good))
    must_fail(errno.EACCES, os.setxattr, path, DEFAULT, good)
    for bad in (acl((USER_OBJ, 6), (GROUP_OBJ, 4)), acl((USER_OBJ, 6), (USER, 6, BOB), (GROUP_OBJ, 4), (OTHER, 4)),
                acl((OTHER, 4), (USER_OBJ, 6), (GROUP_OBJ, 4)), acl((USER_OBJ, 15), (GROUP_OBJ, 4), (OTHER, 4)), b"\2\0\0", b"junk!"):
        must_fail((errno.EINVAL, errno.EOPNOTSUPP), os.setxattr, path, ACCESS, bad)
