"""Directories: making, listing, positions, links of them, life after removal."""
import ctypes
import errno
import os

from suite import *  # noqa


@test()
def link_counts_and_dots(d):
    equal(os.stat(d).st_nlink, 2, "links of an empty directory")
    for name in "abc":
        os.mkdir(d + "/" + name)
    write_file(d + "/file")
    equal(os.stat(d).st_nlink, 5, "links with three directories inside")
    equal(os.stat(d + "/a/..").st_ino, os.stat(d).st_ino, "..")
    os.rmdir(d + "/a")
    os.rename(d + "/b", d + "/c/b")
    equal(os.stat(d).st_nlink, 3, "links after one went and one moved")
    equal(os.stat(d + "/c").st_nlink, 3, "links of where it went")
    equal(os.stat(d + "/c/b/..").st_ino, os.stat(d + "/c").st_ino, ".. after the move")


@test()
def only_empty_directories_go(d):
    os.mkdir(d + "/a")
    write_file(d + "/a/f")
    must_fail((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, d + "/a")
    must_fail(errno.EINVAL, os.rmdir, d + "/a/.")
    must_fail((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, d + "/a/..")
    os.unlink(d + "/a/f")
    os.rmdir(d + "/a")
    must_fail(errno.ENOENT, os.rmdir, d + "/a")


@test()
def listing_is_complete(d):
    names = {"f%04d" % i for i in range(1500)}
    for name in names:
        os.close(os.open(d + "/" + name, os.O_CREAT | os.O_WRONLY))
    equal(set(os.listdir(d)), names, "names listed")
    for name in sorted(names)[::2]:
        os.unlink(d + "/" + name)
    equal(set(os.listdir(d)), set(sorted(names)[1::2]), "names listed after half went")


class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_ulong), ("off", ctypes.c_long), ("reclen", ctypes.c_ushort), ("type", ctypes.c_ubyte),
                ("name", ctypes.c_char * 256)]


class Stream:
    """A directory stream of the C library: opendir, readdir, telldir, seekdir."""

    def __init__(self, path):
        self.c = ctypes.CDLL(None, use_errno=True)
        self.c.opendir.restype = ctypes.c_void_p
        self.c.readdir.restype = ctypes.POINTER(Dirent)
        self.c.telldir.restype = ctypes.c_long
        self.at = ctypes.c_void_p(self.c.opendir(os.fsencode(path)))

    def next(self):
        entry = self.c.readdir(self.at)
        return entry.contents.name.decode() if entry else None

    def tell(self):
        return self.c.telldir(self.at)

    def seek(self, position):
        self.c.seekdir(self.at, ctypes.c_long(position))

    def close(self):
        self.c.closedir(self.at)


@test()
def positions_can_be_gone_back_to(d):
    for i in range(300):
        write_file(d + "/f%d" % i)
    stream = Stream(d)
    marks = []
    while True:
        position = stream.tell()
        name = stream.next()
        if name is None:
            break
        marks.append((position, name))
    equal(len({n for _, n in marks}), 302, "entries with dots")
    for position, name in marks[::7] + marks[::-31]:
        stream.seek(position)
        equal(stream.next(), name, "the entry at a position")
    stream.close()


@test()
def what_stays_is_listed_once_under_change(d):
    stay = {"stay%d" % i for i in range(400)}
    for name in stay:
        write_file(d + "/" + name)
    for i in range(400):
        write_file(d + "/go%d" % i)
    stream = Stream(d)
    seen = []
    for step in range(100000):
        name = stream.next()
        if name is None:
            break
        seen.append(name)
        if step < 400:
            os.unlink(d + "/go%d" % step)
            write_file(d + "/new%d" % step)
    stream.close()
    for name in stay:
        equal(seen.count(name), 1, "how often %s was listed" % name)
    equal(len(seen), len(set(seen)), "names listed twice")


@test()
def a_removed_directory_that_is_open_stays_a_directory(d):
    os.mkdir(d + "/a")
    fd = os.open(d + "/a", os.O_RDONLY | os.O_DIRECTORY)
    inode = os.fstat(fd).st_ino
    os.rmdir(d + "/a")
    equal(os.fstat(fd).st_nlink, 0, "links of a removed directory")
    os.mkdir(d + "/a")  # another one of the same name
    write_file(d + "/a/f", b"new")
    equal(os.fstat(fd).st_nlink, 0, "links of the old one")
    equal(os.fstat(fd).st_ino, inode, "inode of the old one")
    equal(os.listdir(d + "/a"), ["f"], "the new one")
    must_fail(errno.ENOENT, os.open, "f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(fd)


@test()
def a_removed_working_directory(d):
    os.mkdir(d + "/a")
    os.chdir(d + "/a")
    os.rmdir(d + "/a")
    equal(os.stat(".").st_nlink, 0, "links of .")
    must_fail(errno.ENOENT, os.open, "f", os.O_CREAT | os.O_WRONLY)
    must_fail(errno.ENOENT, os.mkdir, "x")
    os.chdir("/")


@test()
def made_and_removed_again_and_again(d):
    for _ in range(100):
        os.mkdir(d + "/lock")
        must_fail(errno.EEXIST, os.mkdir, d + "/lock")
        os.rmdir(d + "/lock")


@test()
def a_directory_can_be_synced(d):
    write_file(d + "/f", b"x")
    fd = os.open(d, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    call("syncfs", fd)
    os.close(fd)
    st = os.statvfs(d)
    check(st.f_namemax == 255 and st.f_bavail <= st.f_blocks and st.f_blocks > 0, "statvfs: %r" % (st,))
