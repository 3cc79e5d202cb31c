"""rename(2) and renameat2(2)."""
import errno
import os
import stat

from suite import *  # noqa


@test()
def replaces_what_is_there(d):
    write_file(d + "/a", b"a")
    write_file(d + "/b", b"b")
    ino = os.stat(d + "/a").st_ino
    os.rename(d + "/a", d + "/b")
    equal(os.stat(d + "/b").st_ino, ino, "inode")
    must_fail(errno.ENOENT, os.stat, d + "/a")
    os.mkdir(d + "/x")
    os.mkdir(d + "/y")
    os.rename(d + "/x", d + "/y")
    equal(sorted(os.listdir(d)), ["b", "y"], "names")


@test()
def kinds_must_agree(d):
    write_file(d + "/f")
    os.mkdir(d + "/e")
    os.mkdir(d + "/full")
    write_file(d + "/full/x")
    must_fail(errno.EISDIR, os.rename, d + "/f", d + "/e")
    must_fail(errno.ENOTDIR, os.rename, d + "/e", d + "/f")
    must_fail((errno.ENOTEMPTY, errno.EEXIST), os.rename, d + "/e", d + "/full")
    must_fail(errno.ENOENT, os.rename, d + "/none", d + "/f")


@test()
def no_directory_below_itself(d):
    os.makedirs(d + "/a/b/c")
    for target in ("/a/x", "/a/b/x", "/a/b/c/x"):
        must_fail(errno.EINVAL, os.rename, d + "/a", d + target)
    must_fail((errno.ENOTEMPTY, errno.EEXIST), os.rename, d + "/a/b/c", d + "/a")
    os.rename(d + "/a/b/c", d + "/c")
    os.rename(d + "/a", d + "/c/a")
    equal(os.path.isdir(d + "/c/a/b"), True, "the tree after two moves")


@test()
def two_names_of_one_file_both_stay(d):
    write_file(d + "/a")
    os.link(d + "/a", d + "/b")
    os.rename(d + "/a", d + "/b")
    equal(sorted(os.listdir(d)), ["a", "b"], "names")


@test()
def times_of_all_concerned(d):
    os.mkdir(d + "/from")
    os.mkdir(d + "/to")
    write_file(d + "/from/f")
    before = [os.stat(d + p) for p in ("/from", "/to", "/from/f")]
    os.rename(d + "/from/f", d + "/to/f")
    after = [os.stat(d + p) for p in ("/from", "/to", "/to/f")]
    for i in (0, 1):
        check(after[i].st_mtime_ns > before[i].st_mtime_ns, "mtime of a parent")
        check(after[i].st_ctime_ns > before[i].st_ctime_ns, "ctime of a parent")
    equal(after[2].st_mtime_ns, before[2].st_mtime_ns, "mtime of the file")


@test()
def noreplace(d):
    write_file(d + "/a", b"a")
    write_file(d + "/b", b"b")
    must_fail(errno.EEXIST, renameat2, d + "/a", d + "/b", NOREPLACE)
    renameat2(d + "/a", d + "/c", NOREPLACE)
    equal(read_file(d + "/c") + read_file(d + "/b"), b"ab", "contents")


@test()
def exchange(d):
    os.mkdir(d + "/sub")
    write_file(d + "/a", b"a")
    write_file(d + "/sub/b", b"b")
    renameat2(d + "/a", d + "/sub/b", EXCHANGE)
    equal((read_file(d + "/a"), read_file(d + "/sub/b")), (b"b", b"a"), "contents")
    os.mkdir(d + "/other")
    os.mkdir(d + "/other/inner")
    renameat2(d + "/other/inner", d + "/a", EXCHANGE)
    equal(read_file(d + "/other/inner"), b"b", "the file that went down")
    equal(os.path.isdir(d + "/a"), True, "the directory that came up")
    equal((os.stat(d).st_nlink, os.stat(d + "/other").st_nlink), (5, 2), "links of the parents")
    equal(os.stat(d + "/a/..").st_ino, os.stat(d).st_ino, "its ..")
    must_fail(errno.ENOENT, renameat2, d + "/a", d + "/none", EXCHANGE)
    os.makedirs(d + "/p/q")
    must_fail((errno.EINVAL, errno.ENOTEMPTY), renameat2, d + "/p", d + "/p/q", EXCHANGE)
    must_fail(errno.EINVAL, renameat2, d + "/a", d + "/sub", EXCHANGE | NOREPLACE)


@test(who="root")
def whiteout(d):
    os.mkdir(d + "/sub")
    write_file(d + "/a", b"a")
    renameat2(d + "/a", d + "/sub/a", WHITEOUT)
    equal(read_file(d + "/sub/a"), b"a", "content")
    st = os.lstat(d + "/a")
    check(stat.S_ISCHR(st.st_mode) and st.st_rdev == 0, "what is left: mode %o, device %r" % (st.st_mode, st.st_rdev))
    write_file(d + "/b", b"b")
    must_fail(errno.EEXIST, renameat2, d + "/b", d + "/a", WHITEOUT | NOREPLACE)
    os.unlink(d + "/a")
    renameat2(d + "/b", d + "/c", WHITEOUT | NOREPLACE)
    equal(sorted(os.listdir(d)), ["b", "c", "sub"], "names")
    os.unlink(d + "/b")
