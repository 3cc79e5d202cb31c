"""File handles: name_to_handle_at and open_by_handle_at, as an NFS server uses them."""
import ctypes
import errno
import os
import struct

from suite import *  # noqa


def handle_of(path):
    buffer = ctypes.create_string_buffer(8 + 128)
    struct.pack_into("I", buffer, 0, 128)
    mount = ctypes.c_int()
    try:
        call("name_to_handle_at", AT_FDCWD, path_bytes(path), buffer, ctypes.byref(mount), 0)
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP:
            raise Skip("no handles on this file system")
        raise
    return buffer


def open_handle(where, handle, flags=os.O_RDONLY):
    fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return call("open_by_handle_at", fd, handle, flags)
    finally:
        os.close(fd)


@test(who="root")
def lead_to_the_same_inode(d):
    path = write_file(d + "/f", b"by handle")
    os.makedirs(d + "/a/b")
    handles = [handle_of(path), handle_of(d + "/a/b")]
    os.rename(path, d + "/a/g")
    fd = open_handle(d, handles[0])
    equal(os.read(fd, 100), b"by handle", "content by handle, after a rename")
    os.close(fd)
    fd = open_handle(d, handles[1])
    equal(os.fstat(fd).st_ino, os.stat(d + "/a/b").st_ino, "a directory by handle")
    os.close(fd)


@test(who="root")
def do_not_lead_to_the_next_of_the_name(d):
    path = write_file(d + "/f")
    os.mkdir(d + "/dir")
    handles = [handle_of(path), handle_of(d + "/dir")]
    os.unlink(path)
    os.rmdir(d + "/dir")
    write_file(path)
    os.mkdir(d + "/dir")
    for handle in handles:
        must_fail(errno.ESTALE, open_handle, d, handle)
