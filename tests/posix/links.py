"""Hard links, files without a name, files whose name is gone."""
import errno
import os

from suite import *  # noqa


@test()
def names_of_one_file(d):
    write_file(d + "/a", b"content")
    before = os.stat(d + "/a")
    os.mkdir(d + "/sub")
    os.link(d + "/a", d + "/sub/b")
    st = os.stat(d + "/sub/b")
    equal((st.st_ino, st.st_nlink), (before.st_ino, 2), "inode and links")
    check(st.st_ctime_ns > before.st_ctime_ns, "a link renews ctime")
    os.unlink(d + "/a")
    equal(os.stat(d + "/sub/b").st_nlink, 1, "links after one went")
    equal(read_file(d + "/sub/b"), b"content", "content")
    must_fail(errno.EEXIST, os.link, d + "/sub/b", d + "/sub/b")
    must_fail((errno.EPERM, errno.EACCES), os.link, d + "/sub", d + "/again")


@test()
def a_link_to_a_symlink(d):
    os.symlink("nowhere", d + "/l")
    os.link(d + "/l", d + "/m", follow_symlinks=False)
    equal(os.readlink(d + "/m"), "nowhere", "target of the second name")


@test()
def hundreds_of_links(d):
    write_file(d + "/f")
    for i in range(600):
        os.link(d + "/f", d + "/l%d" % i)
    equal(os.stat(d + "/f").st_nlink, 601, "links")
    for i in range(600):
        os.unlink(d + "/l%d" % i)
    equal(os.stat(d + "/f").st_nlink, 1, "links")


@test()
def an_unlinked_file_lives_while_open(d):
    write_file(d + "/f", b"still here")
    fd = os.open(d + "/f", os.O_RDWR)
    os.unlink(d + "/f")
    equal(os.fstat(fd).st_nlink, 0, "links")
    equal(os.read(fd, 100), b"still here", "content")
    os.pwrite(fd, b"more", 100)
    os.fsync(fd)
    os.fchmod(fd, 0o600)
    os.ftruncate(fd, 50)
    equal(os.fstat(fd).st_size, 50, "size")
    must_fail(errno.ENOENT, linkat, AT_FDCWD, "/proc/self/fd/%d" % fd, d + "/back", AT_SYMLINK_FOLLOW)
    os.close(fd)


@test()
def a_replaced_file_lives_while_open(d):
    write_file(d + "/old", b"old")
    write_file(d + "/new", b"new")
    fd = os.open(d + "/old", os.O_RDONLY)
    os.rename(d + "/new", d + "/old")
    equal(os.read(fd, 10), b"old", "what is open")
    equal(read_file(d + "/old"), b"new", "what has the name")
    equal(os.fstat(fd).st_nlink, 0, "links")
    os.close(fd)


@test()
def a_file_without_a_name(d):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o640)
    equal(os.fstat(fd).st_nlink, 0, "links of a nameless file")
    equal(os.listdir(d), [], "names")
    os.write(fd, b"nameless")
    linkat(AT_FDCWD, "/proc/self/fd/%d" % fd, d + "/named", AT_SYMLINK_FOLLOW)
    equal(read_file(d + "/named"), b"nameless", "content under its name")
    equal(os.fstat(fd).st_nlink, 1, "links")
    os.link(d + "/named", d + "/again")
    os.unlink(d + "/named")
    os.close(fd)
    equal(read_file(d + "/again"), b"nameless", "content under its second name")
    equal(mode_of(d + "/again"), 0o640, "mode")
    os.unlink(d + "/again")


@test(who="root")
def a_file_without_a_name_by_empty_path(d):
    fd = os.open(d, os.O_TMPFILE | os.O_WRONLY, 0o600)
    linkat(fd, "", d + "/named", AT_EMPTY_PATH)
    equal(os.stat(d + "/named").st_nlink, 1, "links")
    os.close(fd)


@test()
def a_file_that_shall_never_have_a_name(d):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    must_fail(errno.ENOENT, linkat, AT_FDCWD, "/proc/self/fd/%d" % fd, d + "/named", AT_SYMLINK_FOLLOW)
    os.close(fd)
    must_fail((errno.ENOENT, errno.ENOTDIR), os.open, d + "/none", os.O_TMPFILE | os.O_RDWR, 0o600)
