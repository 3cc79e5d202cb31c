"""O_APPEND: nothing is overwritten, whoever writes."""
import os

from suite import *  # noqa


def appender(path, who, count):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    for i in range(count):
        os.write(fd, b"%c%06d;" % (who, i))
    os.close(fd)


def check_lines(data, writers, count):
    equal(len(data), writers * count * 8, "bytes")
    seen = {}
    for at in range(0, len(data), 8):
        line = data[at:at + 8]
        check(line[7:8] == b";", "a torn line at %d: %r" % (at, line))
        equal(int(line[1:7]), seen.get(line[0], 0), "order of %r at %d" % (line[:1], at))
        seen[line[0]] = seen.get(line[0], 0) + 1
    equal(set(seen.values()), {count}, "lines of each")


def run_all(jobs):
    pids = []
    for job in jobs:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                job()
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    for pid in pids:
        equal(os.waitpid(pid, 0)[1], 0, "status of a writer")


@test()
def from_several_processes(d):
    path = write_file(d + "/f")
    run_all([lambda w=w: appender(path, w, 200) for w in b"abcd"])
    check_lines(read_file(path), 4, 200)


@test()
def to_the_end_wherever_one_reads(d):
    path = write_file(d + "/f", b"12345")
    fd = os.open(path, os.O_RDWR | os.O_APPEND)
    equal(os.read(fd, 2), b"12", "read from the start")
    os.write(fd, b"x")
    equal(os.lseek(fd, 0, os.SEEK_CUR), 6, "position after the append")
    os.ftruncate(fd, 3)
    os.write(fd, b"y")
    os.close(fd)
    equal(read_file(path), b"123y", "content")


@test(mounts=2)
def from_two_mounts(d, e):
    path = write_file(d + "/f")
    other = e + "/f"
    os.stat(other)
    jobs = [lambda w=w: appender(path, w, 100) for w in b"ab"] + [lambda w=w: appender(other, w, 100) for w in b"cd"]
    run_all(jobs)
    fd = os.open(other, os.O_RDONLY)
    os.close(fd)
    check_lines(read_file(path), 4, 100)


@test(mounts=2)
def buffered_on_two_mounts(d, e):
    path = write_file(d + "/f", b"start;;;")
    a = os.open(path, os.O_WRONLY | os.O_APPEND)
    b = os.open(e + "/f", os.O_WRONLY | os.O_APPEND)
    for i in range(20):
        os.write(a, b"a%06d;" % i)
        os.write(b, b"b%06d;" % i)
    os.close(a)
    os.close(b)
    data = read_file(path) if os.stat(path).st_size == 8 * 41 else read_file(e + "/f")
    equal(len(data), 8 * 41, "bytes")
    for who in (b"a", b"b"):
        lines = [data[at:at + 8] for at in range(0, len(data), 8) if data[at:at + 1] == who]
        equal(lines, [b"%s%06d;" % (who, i) for i in range(20)], "lines of one mount")
