"""Content: reads, writes, sizes, flags of open, errors at the edges."""
import errno
import os
import random
import threading

from suite import *  # noqa


@test()
def sparse_and_overlapping(d):
    rng = random.Random(7)
    fd = os.open(d + "/f", os.O_CREAT | os.O_RDWR)
    model = bytearray()
    for step in range(300):
        at, length = rng.randrange(300_000), rng.randrange(1, 20_000)
        data = bytes([step % 255 + 1]) * length
        os.pwrite(fd, data, at)
        if len(model) < at + length:
            model.extend(bytes(at + length - len(model)))
        model[at:at + length] = data
        if step % 17 == 0:
            size = rng.randrange(320_000)
            os.ftruncate(fd, size)
            model = model[:size] + bytes(max(0, size - len(model)))
        if step % 40 == 0:
            os.fsync(fd)
    equal(os.fstat(fd).st_size, len(model), "size")
    check(os.pread(fd, len(model) + 1, 0) == bytes(model), "content")
    os.close(fd)
    check(read_file(d + "/f") == bytes(model), "content after the close")


@test()
def the_end_of_a_file(d):
    fd = os.open(d + "/f", os.O_CREAT | os.O_RDWR)
    equal(os.read(fd, 10), b"", "an empty file")
    os.pwrite(fd, b"x", 9999)
    equal(os.pread(fd, 100, 9990), b"\0" * 9 + b"x", "around the end")
    equal(os.pread(fd, 10, 10_000), b"", "at the end")
    equal(os.pread(fd, 10, 1 << 40), b"", "far behind the end")
    os.ftruncate(fd, 5)
    os.ftruncate(fd, 20)
    equal(os.pread(fd, 100, 0), b"\0" * 20, "cut off and grown again")
    os.close(fd)


@test()
def edges(d):
    fd = os.open(d + "/f", os.O_CREAT | os.O_RDWR)
    must_fail(errno.EINVAL, os.pread, fd, 1, -1)
    must_fail(errno.EINVAL, os.ftruncate, fd, -1)
    must_fail((errno.EFBIG, errno.EINVAL), os.ftruncate, fd, 2**63 - 1)
    must_fail((errno.EFBIG, errno.EINVAL), os.pwrite, fd, b"xy", 2**63 - 2)
    os.close(fd)
    must_fail(errno.EBADF, os.read, fd, 1)
    r = os.open(d + "/f", os.O_RDONLY)
    must_fail(errno.EBADF, os.write, r, b"x")
    must_fail((errno.EINVAL, errno.EBADF), os.ftruncate, r, 0)
    os.close(r)
    must_fail(errno.EISDIR, os.open, d, os.O_WRONLY)
    must_fail(errno.EISDIR, os.truncate, d, 0)
    must_fail(errno.ENOTDIR, os.open, d + "/f", os.O_RDONLY | os.O_DIRECTORY)


@test()
def direct_and_synchronous(d):
    for flags in (os.O_SYNC, os.O_DSYNC, os.O_DIRECT):
        path = d + "/f%x" % flags
        try:
            fd = os.open(path, os.O_CREAT | os.O_RDWR | flags)
        except OSError as e:
            if e.errno == errno.EINVAL and flags == os.O_DIRECT:
                continue
            raise
        import mmap
        page = mmap.mmap(-1, 8192)  # aligned
        page.write(b"p" * 8192)
        equal(os.pwritev(fd, [page], 4096), 8192, "bytes written")
        equal(os.fstat(fd).st_size, 12288, "size")
        os.close(fd)
        equal(read_file(path), b"\0" * 4096 + b"p" * 8192, "content")


@test()
def concurrent_writers_of_one_file(d):
    fd = os.open(d + "/f", os.O_CREAT | os.O_RDWR)

    def writer(k):
        for i in range(50):
            os.pwrite(fd, bytes([k + 1]) * 1000, (i * 8 + k) * 1000)
    threads = [threading.Thread(target=writer, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    data = os.pread(fd, 400_000, 0)
    equal(len(data), 400_000, "size")
    for n in range(400):
        check(data[n * 1000:(n + 1) * 1000] == bytes([n % 8 + 1]) * 1000, "block %d" % n)
    os.close(fd)


@test()
def blocks_are_counted(d):
    fd = os.open(d + "/f", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 1 << 30)
    check(os.fstat(fd).st_blocks * 512 < 1 << 20, "a hole takes no room")
    os.pwrite(fd, os.urandom(1 << 20), 0)
    os.fsync(fd)
    check(os.fstat(fd).st_blocks * 512 >= 1 << 20, "content does")
    os.close(fd)
