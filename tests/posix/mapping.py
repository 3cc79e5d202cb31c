"""mmap, shared and private, beside read and write."""
import mmap
import os

from suite import *  # noqa


@test()
def shared_is_coherent_with_read_and_write(d):
    fd = os.open(d + "/f", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 3 * 4096)
    m = mmap.mmap(fd, 3 * 4096)
    os.pwrite(fd, b"written", 5000)
    equal(m[5000:5007], b"written", "a write seen in the mapping")
    m[100:106] = b"mapped"
    equal(os.pread(fd, 6, 100), b"mapped", "the mapping seen by a read")
    m.flush()
    m.close()
    os.close(fd)
    data = read_file(d + "/f")
    equal((data[100:106], data[5000:5007], len(data)), (b"mapped", b"written", 12288), "content")


@test()
def private_changes_nothing(d):
    path = write_file(d + "/f", b"x" * 8192)
    fd = os.open(path, os.O_RDONLY)
    m = mmap.mmap(fd, 8192, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    m[0:5] = b"yyyyy"
    m.close()
    os.close(fd)
    equal(read_file(path), b"x" * 8192, "content")


@test()
def a_mapping_outlives_descriptor_and_name(d):
    path = write_file(d + "/f", b"a" * 4096)
    fd = os.open(path, os.O_RDWR)
    m = mmap.mmap(fd, 4096)
    os.close(fd)
    os.unlink(path)
    m[0:3] = b"bbb"
    equal(m[0:4], b"bbba", "content")
    m.flush()
    m.close()
