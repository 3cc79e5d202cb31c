"""Ranges of content: holes, allocation, SEEK_HOLE and SEEK_DATA, copies by reference."""
import errno
import os

from suite import *  # noqa

K = 1024


def filled(path, size=256 * K):
    data = bytes((i * 7 + i // 4096) % 251 for i in range(size))
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    os.pwrite(fd, data, 0)
    os.fsync(fd)
    return fd, bytearray(data)


@test()
def punch_and_zero(d):
    fd, model = filled(d + "/f")
    for mode, at, length in ((PUNCH_HOLE | KEEP_SIZE, 8 * K, 64 * K), (PUNCH_HOLE | KEEP_SIZE, 100_001, 333),
                             (ZERO_RANGE, 200 * K, 10_000), (PUNCH_HOLE | KEEP_SIZE, 250 * K, 100 * K)):
        fallocate(fd, mode, at, length)
        end = min(len(model), at + length)
        model[at:end] = bytes(end - at)
        check(os.pread(fd, 300 * K, 0) == bytes(model), "content after %r" % ((mode, at, length),))
    equal(os.fstat(fd).st_size, len(model), "size")
    fallocate(fd, ZERO_RANGE, 250 * K, 20 * K)
    equal(os.fstat(fd).st_size, 270 * K, "size after zeroing beyond the end")
    fallocate(fd, ZERO_RANGE | KEEP_SIZE, 260 * K, 20 * K)
    equal(os.fstat(fd).st_size, 270 * K, "size kept")
    os.close(fd)
    equal(read_file(d + "/f"), bytes(model) + bytes(14 * K), "content after the close")


@test()
def allocate(d):
    fd = os.open(d + "/f", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(fd, 1000, 5000)
    equal(os.fstat(fd).st_size, 6000, "size")
    fallocate(fd, KEEP_SIZE, 0, 100_000)
    equal(os.fstat(fd).st_size, 6000, "size kept")
    equal(os.pread(fd, 10_000, 0), bytes(6000), "content")
    must_fail(errno.EINVAL, fallocate, fd, 0, 0, 0)
    must_fail(errno.EINVAL, fallocate, fd, 0, -1, 10)
    must_fail((errno.EFBIG, errno.EINVAL), fallocate, fd, 0, 2**62, 2**62 + 10)
    os.close(fd)
    r = os.open(d + "/f", os.O_RDONLY)
    must_fail(errno.EBADF, fallocate, r, 0, 0, 10)
    os.close(r)


@test()
def holes_and_data(d):
    fd = os.open(d + "/f", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"a" * 65536, 0)
    os.pwrite(fd, b"b" * 65536, 1 << 20)
    os.ftruncate(fd, 2 << 20)
    os.fsync(fd)
    equal(os.lseek(fd, 0, os.SEEK_DATA), 0, "data at the start")
    hole = os.lseek(fd, 0, os.SEEK_HOLE)
    check(65536 <= hole <= 1 << 20, "the first hole: %d" % hole)
    data = os.lseek(fd, hole, os.SEEK_DATA)
    check(hole <= data <= 1 << 20, "data behind the hole: %d" % data)
    equal(os.lseek(fd, (2 << 20) - 1, os.SEEK_HOLE), (2 << 20) - 1 if os.lseek(fd, 1 << 20, os.SEEK_HOLE) < 2 << 20 else 2 << 20,
          "the last hole")
    must_fail(errno.ENXIO, os.lseek, fd, 2 << 20, os.SEEK_DATA)
    must_fail(errno.ENXIO, os.lseek, fd, 2 << 20, os.SEEK_HOLE)
    os.close(fd)


@test()
def copies(d):
    fd, model = filled(d + "/f", 300_000)
    to = os.open(d + "/g", os.O_CREAT | os.O_RDWR)
    os.pwrite(to, b"z" * 50_000, 0)
    target = bytearray(b"z" * 50_000)

    def copy(src, dst, length):
        done = 0
        while done < length:
            n = os.copy_file_range(fd, to, length - done, src + done, dst + done)
            if n == 0:
                break
            done += n
        part = model[src:src + length]
        equal(done, len(part), "bytes copied")
        if len(target) < dst + done:
            target.extend(bytes(dst + done - len(target)))
        target[dst:dst + done] = part
        check(os.pread(to, 10**6, 0) == bytes(target), "content after copying %r" % ((src, dst, length),))

    copy(0, 0, 300_000)
    copy(12_345, 400_001, 77_777)
    copy(0, 10, 1)
    copy(299_000, 5, 5000)
    os.pwrite(fd, b"changed", 0)
    check(os.pread(to, 7, 20_000) == bytes(target[20_000:20_007]), "a copy does not follow")
    os.close(fd)
    os.unlink(d + "/f")
    os.fsync(to)
    os.close(to)
    check(read_file(d + "/g") == bytes(target), "the copy without its source")


@test()
def a_copy_within_one_file(d):
    fd, model = filled(d + "/f", 100_000)
    equal(os.copy_file_range(fd, fd, 20_000, 0, 70_000), 20_000, "bytes")
    model[70_000:90_000] = model[0:20_000]
    check(os.pread(fd, 10**6, 0) == bytes(model), "content")
    must_fail(errno.EINVAL, os.copy_file_range, fd, fd, 20_000, 0, 10_000)
    os.close(fd)
