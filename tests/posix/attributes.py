"""Extended attributes."""
import errno
import os

from suite import *  # noqa


@test()
def set_get_list_remove(d):
    path = write_file(d + "/f")
    for target in (path, d):
        os.setxattr(target, "user.empty", b"")
        os.setxattr(target, "user.binary", bytes(range(256)))
        equal(os.getxattr(target, "user.binary"), bytes(range(256)), "value")
        equal(sorted(n for n in os.listxattr(target) if n.startswith("user.")), ["user.binary", "user.empty"], "names")
        os.removexattr(target, "user.empty")
        must_fail(errno.ENODATA, os.getxattr, target, "user.empty")
        must_fail(errno.ENODATA, os.removexattr, target, "user.empty")
    must_fail(errno.EEXIST, os.setxattr, path, "user.binary", b"", os.XATTR_CREATE)
    must_fail(errno.ENODATA, os.setxattr, path, "user.none", b"", os.XATTR_REPLACE)
    os.setxattr(path, "user.binary", b"shorter", os.XATTR_REPLACE)
    equal(os.getxattr(path, "user.binary"), b"shorter", "value replaced")


@test()
def limits(d):
    path = write_file(d + "/f")
    name = "user." + "n" * 250
    os.setxattr(path, name, b"v")
    equal(os.getxattr(path, name), b"v", "value under a name of 255 bytes")
    must_fail(errno.ERANGE, os.setxattr, path, name + "n", b"v")
    os.setxattr(path, "user.some", b"x" * 2000)
    equal(os.getxattr(path, "user.some"), b"x" * 2000, "a longer value")
    must_fail((errno.E2BIG, errno.ENOSPC), os.setxattr, path, "user.big", b"x" * 65537)
    must_fail((errno.EOPNOTSUPP, errno.EINVAL), os.setxattr, path, "nonsense.a", b"v")


@test(who="root")
def classes(d):
    path = write_file(d + "/f")
    os.chown(path, ALICE, ALICE)
    os.setxattr(path, "trusted.t", b"t")
    os.setxattr(path, "security.s", b"s")
    check(set(os.listxattr(path)) >= {"trusted.t", "security.s"}, "root sees all")
    seen = as_user(ALICE, lambda: os.listxattr(path))
    check("trusted.t" not in seen, "a user does not see trusted.*")
    must_fail((errno.ENODATA, errno.EPERM), as_user, ALICE, lambda: os.getxattr(path, "trusted.t"))
    must_fail(errno.EPERM, as_user, ALICE, lambda: os.setxattr(path, "trusted.x", b""))
    must_fail(errno.EPERM, as_user, ALICE, lambda: os.setxattr(path, "security.x", b""))
    os.chmod(path, 0o644)
    must_fail(errno.EACCES, as_user, BOB, lambda: os.setxattr(path, "user.x", b""))
    os.chmod(path, 0o600)
    must_fail(errno.EACCES, as_user, BOB, lambda: os.getxattr(path, "user.x"))
    os.symlink("f", d + "/l")
    must_fail(errno.EPERM, os.setxattr, d + "/l", "user.x", b"", follow_symlinks=False)
    os.setxattr(d + "/l", "trusted.x", b"on a link", follow_symlinks=False)
    equal(os.getxattr(d + "/l", "trusted.x", follow_symlinks=False), b"on a link", "value on a link")


@test(who="root")
def a_write_takes_the_capability_away(d):
    path = write_file(d + "/f", b"program")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw
    os.setxattr(path, "security.capability", capability)
    os.chmod(path, 0o777)
    as_user(ALICE, lambda: os.truncate(path, 1))
    must_fail(errno.ENODATA, os.getxattr, path, "security.capability")
    os.setxattr(path, "security.capability", capability)
    os.chown(path, BOB, BOB)
    must_fail(errno.ENODATA, os.getxattr, path, "security.capability")
