"""Two mounts of one cluster behave as one file system: what a call on one returned the next call on the other sees, locks have one
holder, a dead server or a mount that stands still changes neither."""
import ctypes
import errno
import fcntl
import os
import signal
import struct
import subprocess
import sys
import time
import urllib.request

from lib import Playground, check, must, wait_for


def swap(rounds, mounts):
    """Each side writes in place and reads the other's, through descriptors that stay open (the kernel's pages stay in use)."""
    paths = [os.path.join(m, "swap") for m in mounts]
    open(paths[0], "wb").close()
    fds = [os.open(p, os.O_RDWR) for p in paths]
    began = time.monotonic()
    for n in range(rounds):
        data = (b"%08d" % n) * 600
        check(os.pwrite(fds[n % 2], data, 0) == len(data), "short write")
        check(os.pread(fds[1 - n % 2], len(data), 0) == data, "round %d: the other mount reads old bytes" % n)
        check(os.fstat(fds[1 - n % 2]).st_size == len(data), "round %d: the other mount has another size" % n)
        check(os.stat(paths[1 - n % 2]).st_mtime_ns == os.stat(paths[n % 2]).st_mtime_ns, "round %d: times differ" % n)
    for fd in fds:
        os.close(fd)
    return "%.0f rounds a second" % (rounds / (time.monotonic() - began))


def names(rounds, mounts):
    began = time.monotonic()
    for n in range(rounds):
        here, there = (os.path.join(m, "name-%d" % n) for m in (mounts[n % 2], mounts[1 - n % 2]))
        check(not os.path.exists(there), "it is there before it is made")
        os.mkdir(here) if n % 3 == 0 else open(here, "w").close()
        check(os.path.exists(there), "round %d: made here, not there" % n)
        check(os.path.basename(there) in os.listdir(os.path.dirname(there)), "round %d: not in the other's listing" % n)
        os.chmod(there, 0o700)
        check(os.stat(here).st_mode & 0o777 == 0o700, "round %d: the other's chmod is not seen" % n)
        os.rename(there, there + "x")
        check(not os.path.exists(here), "round %d: renamed there, still here" % n)
        os.rmdir(here + "x") if n % 3 == 0 else os.unlink(here + "x")
        check(not os.path.exists(there + "x"), "round %d: removed here, still there" % n)
    return "%.0f rounds a second" % (rounds / (time.monotonic() - began))


def moved_directories(mounts, rounds):
    """A directory that the other mount has moved is moved on at once, though this kernel has it, and what is in it, where it was. What a
    program here has in use this kernel cannot take in while it renames: it looks first (docs/limits.md)."""
    tried = 0
    for n in range(rounds):
        for kind, (new, to) in enumerate((("two", "three"), ("two", "one"), ("two/deep", "two"), ("two/deep", ""), ("two", "two"))):
            top = "moved-%d-%d" % (n, kind)
            here, there = (os.path.join(m, top) for m in (mounts[n % 2], mounts[1 - n % 2]))
            for folder in ("", "one", "two", "two/deep", "three", "one/d", "one/d/in"):
                os.mkdir(os.path.join(here, folder))
            open(os.path.join(here, "one/d/in/file"), "w").close()
            check(os.stat(os.path.join(here, "one/d/in/file")).st_size == 0, "it has no size")
            os.rename(os.path.join(there, "one/d"), os.path.join(there, new, "e"))
            os.rename(os.path.join(here, new, "e"), os.path.join(here, to, "f"))
            for side in (here, there):
                check(os.path.exists(os.path.join(side, to, "f/in/file")), "it is not where it was moved to")
                check(not os.path.exists(os.path.join(side, "one/d")), "it is where it was, too")
            tried += 1
            used = os.open(os.path.join(here, to, "f/in/file"), os.O_RDONLY)
            os.rename(os.path.join(there, to, "f"), os.path.join(there, "one/g"))
            os.stat(os.path.join(here, "one/g"))
            os.rename(os.path.join(here, "one/g"), os.path.join(here, "three/g"))
            check(os.fstat(used).st_ino == os.stat(os.path.join(there, "three/g/in/file")).st_ino, "another file is open")
            os.close(used)
    return "%d times" % tried


def mapped(mounts):
    import mmap
    paths = [os.path.join(m, "mapped") for m in mounts]
    with open(paths[0], "wb") as f:
        f.write(b"a" * 8192)
    with open(paths[1], "r+b") as f:
        view = mmap.mmap(f.fileno(), 8192)
        check(view[:1] == b"a", "the map shows something else")
        with open(paths[0], "r+b") as g:
            g.write(b"b" * 8192)
        wait_for(lambda: view[:1] == b"b" and view[8191:] == b"b", 2, "the map shows the other mount's write", 0.01)
        view[0:4] = b"mmap"
        view.flush()
        with open(paths[0], "rb") as g:
            check(g.read(4) == b"mmap", "the other mount does not read what was stored through a map and synced")
        view.close()


def appends(mounts, count):
    """Lines of several processes on both mounts: all there, none torn."""
    paths = [os.path.join(m, "log") for m in mounts]
    script = "import os,sys\nfd=os.open(sys.argv[1],os.O_WRONLY|os.O_APPEND|os.O_CREAT,0o644)\n" \
             "for n in range(%d): os.write(fd,b'%%s %%d %%s\\n'%%(sys.argv[2].encode(),n,b'x'*(n%%90)))" % count
    running = [subprocess.Popen([sys.executable, "-c", script, paths[i % 2], "w%d" % i]) for i in range(4)]
    for process in running:
        check(process.wait(120) == 0, "an appender failed")
    for path in paths:
        lines = open(path).read().splitlines()
        check(len(lines) == 4 * count, "%d lines of %d" % (len(lines), 4 * count))
        for i in range(4):
            own = [line for line in lines if line.startswith("w%d " % i)]
            check(own == ["w%d %d %s" % (i, n, "x" * (n % 90)) for n in range(count)], "lines of w%d are wrong" % i)


# Locks. A record lock belongs to a process: the other holder is a child.

def child_holds(path, kind, seconds=600, whence=(0, 10)):
    """A child that holds the lock when this returns; killed to end it."""
    script = ("import fcntl,os,sys,time\nfd=os.open(sys.argv[1],os.O_RDWR|os.O_CREAT,0o644)\n"
              "fcntl.flock(fd,fcntl.LOCK_EX) if sys.argv[2]=='flock' else fcntl.lockf(fd,fcntl.LOCK_EX,%d,%d)\n"
              "print('held',flush=True)\ntime.sleep(%d)" % (whence[1], whence[0], seconds))
    child = subprocess.Popen([sys.executable, "-c", script, path, kind], stdout=subprocess.PIPE)
    check(child.stdout.readline() == b"held\n", "the child got no lock")
    return child


def refused(fd, kind):
    try:
        if kind == "flock":
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif kind == "ofd":
            fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 10, 0))  # F_OFD_SETLK
        else:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10)
    except OSError as error:
        check(error.errno in (errno.EAGAIN, errno.EACCES), "refused with %s" % error)
        return True
    return False


def locks(mounts, pg, nodes):
    paths = [os.path.join(m, "locked") for m in mounts]
    for kind in ("fcntl", "flock"):
        child = child_holds(paths[1], kind)
        fd = os.open(paths[0], os.O_RDWR)
        check(refused(fd, kind), "%s: two mounts hold one lock" % kind)
        if kind == "fcntl":
            check(refused(fd, "ofd"), "an OFD lock beside another mount's record lock")
        child.kill()
        child.wait()
        wait_for(lambda: not refused(fd, kind), 5, "%s: the lock is free once its holder died" % kind, 0.02)
        os.close(fd)
    # Blocking, interrupted, then granted.
    child = child_holds(paths[1], "fcntl")
    fd = os.open(paths[0], os.O_RDWR)

    class Woken(Exception):
        pass

    def wake(*_):
        raise Woken

    signal.signal(signal.SIGALRM, wake)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    began = time.monotonic()
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX, 10)
        check(False, "two hold one lock")
    except Woken:
        pass
    check(time.monotonic() - began < 3, "a signal ends the wait only after %.1f s" % (time.monotonic() - began))
    waiter = subprocess.Popen([sys.executable, "-c", "import fcntl,os,sys\nfd=os.open(sys.argv[1],os.O_RDWR)\n"
                               "fcntl.lockf(fd,fcntl.LOCK_EX,10)", paths[0]])
    time.sleep(0.5)
    check(waiter.poll() is None, "the waiter did not wait")
    child.kill()
    child.wait()
    check(waiter.wait(10) == 0, "the waiter was not woken")
    os.close(fd)
    # A lock in a circle over two mounts.
    child = child_holds(paths[1], "fcntl", whence=(0, 1))
    fd = os.open(paths[0], os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX, 1, 5)
    child.kill()
    child.wait()
    script = ("import fcntl,os,sys,time\nfd=os.open(sys.argv[1],os.O_RDWR)\nfcntl.lockf(fd,fcntl.LOCK_EX,1,0)\nprint('held',flush=True)\n"
              "try: fcntl.lockf(fd,fcntl.LOCK_EX,1,5)\nexcept OSError as e: sys.exit(e.errno)")
    child = subprocess.Popen([sys.executable, "-c", script, paths[1]], stdout=subprocess.PIPE)
    check(child.stdout.readline() == b"held\n", "the child got no lock")
    time.sleep(0.5)
    code = None
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
    except OSError as error:
        code = error.errno
    os.close(fd)
    other = child.wait(10)
    check(errno.EDEADLK in (code, other), "a circle of locks gave %s and %s" % (code, other))
    # A lock outlives the leader of its shard.
    child = child_holds(paths[1], "fcntl")
    fd = os.open(paths[0], os.O_RDWR)
    for node in nodes:
        pg.kill(node)
        check(refused(fd, "fcntl"), "node %d died and the lock had two holders" % node)
        pg.start(node)
        wait_for(pg.is_whole, 60, "whole again")
    child.kill()
    child.wait()
    os.close(fd)


def calls_of(log):
    """Messages this mount has sent, from its metrics page; keep-alives are among them."""
    address = [line for line in open(log) if "mounted" in line][-1].split("metrics=")[1].split()[0]
    page = urllib.request.urlopen("http://%s/metrics" % address.strip('"'), timeout=5).read().decode()
    return {line.split()[0]: float(line.split()[1]) for line in page.splitlines() if line and line[0] != "#" and "{" not in line}


def cached(mount, log):
    """stat and open-read-close of unchanged files: no message but the keep-alives."""
    path = os.path.join(mount, "cached")
    with open(path, "w") as f:
        f.write("x" * 5000)

    def use():
        os.stat(path)
        with open(path) as f:
            f.read()

    use()
    use()
    before, began, count = calls_of(log), time.monotonic(), 2000
    for _ in range(count):
        use()
    took = time.monotonic() - began
    sent = calls_of(log)["claudefs_rpc_calls_total"] - before["claudefs_rpc_calls_total"]
    keep_alives = 3 * 2 * (took + 1) + 6  # three nodes, twice a second; and who is up
    check(sent <= keep_alives + 8, "%d stat and open-read-close sent %d messages in %.1f s" % (count, sent, took))
    return "%d stat and open-read-close in %.2f s: %d messages (keep-alives: at most %d)" % (count, took, sent, keep_alives)


def links(mounts, count):
    """`count` names of one file (65,000 is the most), made through one mount and removed through the other."""
    paths = [os.path.join(m, "linked") for m in mounts]
    tops = [os.path.join(m, "links") for m in mounts]
    open(paths[0], "w").close()
    os.mkdir(tops[0])
    began = time.monotonic()
    for n in range(1, count):
        os.link(paths[0], "%s/%d" % (tops[0], n))
    made = time.monotonic() - began
    for path in paths:
        check(os.stat(path).st_nlink == count, "%d links of %d" % (os.stat(path).st_nlink, count))
        if count == 65000:
            try:
                os.link(path, path + "-more")
                check(False, "more than 65,000 links")
            except OSError as error:
                check(error.errno == errno.EMLINK, "too many links give %s" % error)
    check(set(os.listdir(tops[1])) == {str(n) for n in range(1, count)}, "the other mount lists other names")
    began = time.monotonic()
    for n in range(1, count):
        os.unlink("%s/%d" % (tops[1], n))
    removed = time.monotonic() - began
    check(os.stat(paths[0]).st_nlink == 1, "%d links of 1" % os.stat(paths[0]).st_nlink)
    os.rmdir(tops[0])
    os.unlink(paths[1])
    return "%d names of one file: %.0f made, %.0f removed a second" % (count, (count - 1) / made, (count - 1) / removed)


def inodes_in(mount):
    info = os.statvfs(mount)
    return info.f_files - info.f_ffree


def unlinked_there(mounts, count, wait_until_freed):
    """Files that one mount has just opened and the other unlinks live until they are closed, though the servers free what nobody has."""
    there = sum(len(directories) + len(files) for _, directories, files in os.walk(mounts[0])) + 1
    gone = os.path.join(mounts[0], "gone")
    open(gone, "w").close()
    os.unlink(gone)
    # Leaders free nothing in their first half minute.
    wait_for(lambda: inodes_in(mounts[0]) == there, 90, "what has been removed is freed", 1)
    fds = []
    for n in range(count):
        here, other = (os.path.join(m, "unlinked-%d" % n) for m in (mounts[n % 2], mounts[1 - n % 2]))
        with open(here, "wb") as f:
            f.write(b"%d" % n * (1000 if n % 3 else 300000))
        fds.append(os.open(other, os.O_RDONLY))
        os.unlink(here)
    time.sleep(6)
    for n, fd in enumerate(fds):
        want = b"%d" % n * (1000 if n % 3 else 300000)
        check(os.pread(fd, len(want) + 1, 0) == want, "file %d is not there any more, but open" % n)
        check(os.fstat(fd).st_nlink == 0, "file %d has a link" % n)
        os.close(fd)
    if not wait_until_freed:
        return "%d files" % count
    began = time.monotonic()
    wait_for(lambda: inodes_in(mounts[0]) == there, 90, "what is closed is freed", 1)
    return "%d files; freed %.0f s after the last close" % (count, time.monotonic() - began)


def server_killed(mounts, pg, rounds):
    worst = 0
    paths = [os.path.join(m, "through") for m in mounts]
    open(paths[0], "wb").close()
    fds = [os.open(p, os.O_RDWR) for p in paths]
    for node in (1, 2, 3):
        for n in range(rounds):
            if n == rounds // 2:
                os.kill(pg.node_pid(node), signal.SIGKILL)
            data = b"%d-%06d" % (node, n)
            began = time.monotonic()
            os.pwrite(fds[n % 2], data, 0)
            check(os.pread(fds[1 - n % 2], len(data), 0) == data, "node %d killed: the other mount reads old bytes" % node)
            fresh(mounts, "fresh-%d-%d" % (node, n), data)
            worst = max(worst, time.monotonic() - began)
        pg.start(node)
        wait_for(pg.is_whole, 60, "whole again")
    for fd in fds:
        os.close(fd)
    return "making, writing, and reading on the other mount take %.2f s at worst" % worst


def fresh(mounts, name, data):
    """A file that both have open before it has bytes."""
    paths = [os.path.join(m, name) for m in mounts]
    open(paths[0], "wb").close()
    here, there = (os.open(p, os.O_RDWR) for p in paths)
    os.pwrite(here, data, 0)
    check(os.pread(there, len(data), 0) == data, "%s: the other mount reads old bytes" % name)
    os.close(here)
    os.close(there)


def stands_still(mounts, pids, third, third_pid):
    """A mount is stopped with a lease, dirty bytes and a lock, one is killed with locks; the other goes on in time; the late bytes are
    refused."""
    kinds = ("fcntl", "flock")
    holders = [child_holds(os.path.join(third, "of-dead-" + kind), kind) for kind in kinds]
    of_dead = [os.open(os.path.join(mounts[0], "of-dead-" + kind), os.O_RDWR) for kind in kinds]
    check(all(refused(*each) for each in zip(of_dead, kinds)), "two mounts hold one lock")
    paths = [os.path.join(m, "still") for m in mounts]
    with open(paths[1], "wb") as f:
        f.write(b"old" * 1000)
    fd = os.open(paths[1], os.O_RDWR)
    check(os.pread(fd, 3, 0) == b"old", "it reads something else")
    # Started now: a child that is made later would close its copies of descriptors on a mount that stands still.
    reader = subprocess.Popen([sys.executable, "-c", "import os,sys\nfd=os.open(sys.argv[1],os.O_RDONLY)\nos.pread(fd,4,0)\nprint('ready',flush=True)\n"
                               "sys.stdin.readline()\nprint(os.pread(fd,4,0).decode())", paths[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    check(reader.stdout.readline() == b"ready\n", "the reader does not start")
    os.pwrite(fd, b"late", 0)
    os.kill(third_pid, signal.SIGKILL)
    os.kill(pids[1], signal.SIGSTOP)
    try:
        began = time.monotonic()
        mine = os.open(paths[0], os.O_RDWR)
        os.pwrite(mine, b"new!" * 100, 0)
        os.fsync(mine)
        took = time.monotonic() - began
        check(took < 25, "the other mount waited %.1f s" % took)
        # What the stopped mount's kernel holds must not be shown any more: its reads wait.
        reader.stdin.write(b"now\n")
        reader.stdin.flush()
        time.sleep(1)
        check(reader.poll() is None, "a mount that stands still answers from its caches after its lease")
        for fd_of_dead, kind in zip(of_dead, kinds):
            wait_for(lambda: not refused(fd_of_dead, kind), 15, "%s: the lock of a killed mount is free" % kind, 0.1)
            os.close(fd_of_dead)
        freed = time.monotonic() - began
        check(freed < 25, "the locks of a killed mount were free after %.1f s" % freed)
    finally:
        os.kill(pids[1], signal.SIGCONT)
    check(reader.communicate(timeout=60)[0].strip() == b"new!", "resumed, it reads what is not there any more")
    failed = False
    try:
        os.fsync(fd)
    except OSError:
        failed = True
    check(failed, "the late bytes of a fenced mount were not reported as lost")
    os.close(fd)
    check(os.pread(mine, 8, 0) == b"new!new!", "the late bytes of a fenced mount are in the file")
    os.close(mine)
    with open(paths[1], "w") as f:  # it works again
        f.write("again")
    check(open(paths[0]).read() == "again", "after the fence the mount's writes are not seen")
    for holder in holders:
        holder.kill()
        holder.wait()
    must(["umount", "-l", third])
    return "the other mount waited %.1f s; a killed mount's locks were free after %.1f s" % (took, freed)


def run(context):
    pg = Playground(context.work).up()
    second = pg.mount_again("second", node=2)
    mounts = [pg.mount, second]
    second_pid = int(open(os.path.join(pg.directory, "second.pid")).read())
    facts = []
    only = set(context.only)

    def step(name, function, *args, limit=120):
        if only and name not in only:
            return
        figures = context.steps.run(name, function, *args, limit=limit).get("figures")
        if figures:
            facts.append((name, figures))

    rounds = context.pick(60, 300, 2000)
    step("swap", swap, rounds, mounts)
    step("names", names, context.pick(30, 150, 1000), mounts)
    step("moved_directories", moved_directories, mounts, context.pick(3, 10, 100))
    step("mapped", mapped, mounts)
    step("appends", appends, mounts, context.pick(50, 300, 2000))
    step("cached", cached, second, os.path.join(pg.directory, "second.log"))
    step("links", links, mounts, context.pick(200, 2000, 65000), limit=600)
    step("unlinked_there", unlinked_there, mounts, context.pick(12, 60, 300), context.pick(False, True, True), limit=200)
    step("locks", locks, mounts, pg, context.pick((2,), (1, 2, 3), (1, 2, 3)), limit=300)
    step("server_killed", server_killed, mounts, pg, context.pick(40, 100, 400), limit=300)
    third = pg.mount_again("third", node=3)
    third_pid = int(open(os.path.join(pg.directory, "third.pid")).read())
    step("stands_still", stands_still, mounts, [pg.client_pid(), second_pid], third, third_pid, limit=180)
    pg.umount(second)
    return "; ".join("%s: %s" % f for f in facts)
