"""Names, their limits, and what kinds of things can have one."""
import errno
import os
import socket
import stat

from suite import *  # noqa


@test()
def names_of_255_bytes_of_anything(d):
    every = bytes(b for b in range(1, 256) if b != 0x2f)
    for name in (every, b"x" * 255, b"-", b"...", b" ", b"\xff\xfe", "naïve ☃".encode()):
        path = os.fsencode(d) + b"/" + name
        write_file(path, b"x")
        check(name in os.listdir(os.fsencode(d)), "%r is not listed" % name)
        os.unlink(path)
    equal(os.listdir(d), [], "what is left")


@test()
def longer_names_are_refused(d):
    long = d + "/" + "x" * 256
    must_fail(errno.ENAMETOOLONG, os.mkdir, long)
    must_fail(errno.ENAMETOOLONG, os.open, long, os.O_CREAT | os.O_WRONLY)
    must_fail(errno.ENAMETOOLONG, os.stat, long)
    must_fail(errno.ENAMETOOLONG, os.symlink, "x", long)
    write_file(d + "/f")
    must_fail(errno.ENAMETOOLONG, os.link, d + "/f", long)
    must_fail(errno.ENAMETOOLONG, os.rename, d + "/f", long)


@test()
def paths_through_files_and_nothing(d):
    write_file(d + "/f")
    for function in (os.stat, os.unlink, os.rmdir, os.listdir):
        must_fail(errno.ENOTDIR, function, d + "/f/x")
        must_fail(errno.ENOENT, function, d + "/none")
        must_fail(errno.ENOENT, function, d + "/none/x")
    must_fail(errno.ENOTDIR, os.rmdir, d + "/f")
    must_fail(errno.EEXIST, os.mkdir, d + "/f")
    must_fail(errno.EEXIST, os.open, d + "/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.mkdir(d + "/dir")
    must_fail((errno.EISDIR, errno.EPERM), os.unlink, d + "/dir")


@test()
def symlinks_to_4095_bytes(d):
    for length in (1, 255, 4095):
        os.symlink("t" * length, d + "/l%d" % length)
        equal(os.readlink(d + "/l%d" % length), "t" * length, "target")
        equal(os.lstat(d + "/l%d" % length).st_size, length, "size of a link")
    must_fail(errno.ENAMETOOLONG, os.symlink, "t" * 4096, d + "/l")
    must_fail(errno.ENOENT, os.symlink, "", d + "/empty")
    os.symlink("loop", d + "/loop")
    must_fail(errno.ELOOP, os.stat, d + "/loop")
    must_fail(errno.ELOOP, os.open, d + "/l1", os.O_RDONLY | os.O_NOFOLLOW)


@test()
def fifos_and_sockets(d):
    os.mkfifo(d + "/fifo", 0o620)
    check(stat.S_ISFIFO(os.lstat(d + "/fifo").st_mode), "a fifo")
    equal(mode_of(d + "/fifo"), 0o600, "mode of a fifo under umask 022")
    r = os.open(d + "/fifo", os.O_RDONLY | os.O_NONBLOCK)
    w = os.open(d + "/fifo", os.O_WRONLY)
    os.write(w, b"through")
    equal(os.read(r, 10), b"through", "what came through the fifo")
    here = os.getcwd()
    os.chdir(d)  # socket paths are short
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    server.listen(1)
    check(stat.S_ISSOCK(os.lstat("socket").st_mode), "a socket")
    client = socket.socket(socket.AF_UNIX)
    client.connect("socket")
    client.close()
    os.chdir(here)


@test(who="root")
def devices_are_made_by_root_only(d):
    os.mknod(d + "/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(d + "/big", 0o600 | stat.S_IFBLK, os.makedev(4095, 1048575))
    st = os.lstat(d + "/null")
    check(stat.S_ISCHR(st.st_mode), "a character device")
    equal((os.major(st.st_rdev), os.minor(st.st_rdev)), (1, 3), "its number")
    st = os.lstat(d + "/big")
    equal((os.major(st.st_rdev), os.minor(st.st_rdev)), (4095, 1048575), "a large number")
    with open(d + "/null", "wb") as f:
        f.write(b"gone")
    os.chmod(d, 0o777)
    check(not may(ALICE, lambda: os.mknod(d + "/x", 0o600 | stat.S_IFCHR, os.makedev(1, 5))), "a user made a device")
    check(may(ALICE, lambda: os.mkfifo(d + "/y")), "a user may make a fifo")
