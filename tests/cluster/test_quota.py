"""Quotas of users, groups and the volume on two mounts: refused in write(2) and creat(2), never passed, also with a server killed; report agrees with du."""
import errno
import json
import os

from lib import Playground, call, check, claudefs, clean_environment, mib, must, tail

ALICE, BOB, TEAM = 60001, 60002, 60010
MIB = 1 << 20


def quota(pg, *arguments, code=0):
    done = call([claudefs(), "quota", arguments[0], "--cluster", pg.cluster_file] + [str(a) for a in arguments[1:]], 60,
                env=clean_environment(pg.work))
    check(done.code == code, "claudefs quota %s: exit %d, expected %d\n%s%s" % (arguments, done.code, code, tail(done.out),
                                                                            tail(done.err)))
    return done


def row(pg, kind, number):
    rows = [r for r in json.loads(quota(pg, "report", "--json").out) if (r["kind"], r["id"]) == (kind, number)]
    return rows[0] if rows else {"bytes": 0, "inodes": 0}


def as_user(uid, function, gid=None):
    """In a child process, which says the errno that it met, or 0."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            os.setgroups([])
            os.setgid(gid or uid)
            os.setuid(uid)
            function()
        except OSError as error:
            code = error.errno
        except BaseException:
            code = 255
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fill(path, at_most, piece=64 << 10):
    """Writes until a write is refused; fsync and close must not be."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
    written = 0
    try:
        while written < at_most:
            written += os.write(descriptor, os.urandom(piece))
    except OSError as error:
        check(error.errno == errno.EDQUOT, "a write beyond the quota: %s" % error)
    os.fsync(descriptor)
    os.close(descriptor)
    return written


def run(context):
    pg = Playground(context.work, nodes=3, size="512MiB").up()
    second = pg.mount_again()
    one, two = os.path.join(pg.mount, "d"), os.path.join(second, "e")
    for directory in (one, two):
        os.mkdir(directory)
        os.chmod(directory, 0o777)
    other = os.path.join(pg.mount, "e")

    # Without limits: what is charged is what du says.
    check(as_user(ALICE, lambda: fill(os.path.join(one, "first"), 3 * MIB)) == 0, "a user without a quota is refused")
    check(row(pg, "user", ALICE)["bytes"] == 3 * MIB and row(pg, "user", ALICE)["inodes"] == 1, "%s" % row(pg, "user", ALICE))
    du = int(must(["du", "-s", "--block-size=1", pg.mount], 30).out.split()[0])
    check(row(pg, "volume", 0)["bytes"] == du, "du says %d, the volume is charged %d" % (du, row(pg, "volume", 0)["bytes"]))

    # A limit on bytes: met from both mounts, in write(2).
    limit = 8 * MIB
    quota(pg, "set", "--user", ALICE, "--bytes", limit)
    for path in (os.path.join(one, "a"), os.path.join(two, "b")):
        check(as_user(ALICE, lambda: fill(path, limit)) == 0, "filling %s" % path)
    now = row(pg, "user", ALICE)
    check(limit - (64 << 10) <= now["bytes"] <= limit, "charged %d of %d" % (now["bytes"], limit))
    code = as_user(ALICE, lambda: os.write(os.open(os.path.join(other, "c"), os.O_CREAT | os.O_WRONLY), b"x" * 70000))
    check(code == errno.EDQUOT, "one more write: errno %d" % code)
    # What is there may be written over; others go on.
    check(as_user(ALICE, lambda: os.pwrite(os.open(os.path.join(one, "a"), os.O_WRONLY), b"y" * 65536, 0)) == 0, "overwriting")
    check(as_user(BOB, lambda: fill(os.path.join(other, "bob"), 2 * MIB)) == 0, "another user is refused")
    check(row(pg, "user", BOB)["bytes"] == 2 * MIB, "%s" % row(pg, "user", BOB))
    # Gifts are the receiver's.
    bobs = os.path.join(other, "bob")
    try:
        os.chown(bobs, ALICE, -1)
        check(False, "a gift beyond the receiver's quota is taken")
    except OSError as error:
        check(error.errno == errno.EDQUOT, "chown: %s" % error)
    # What is cut off can be used at once, on the other mount.
    os.truncate(os.path.join(one, "a"), 0)
    check(as_user(ALICE, lambda: fill(os.path.join(two, "again"), MIB)) == 0, "space that was freed is refused")
    check(row(pg, "user", ALICE)["bytes"] <= limit, "charged %s of %d" % (row(pg, "user", ALICE), limit))
    shown = quota(pg, "show", "--user", ALICE).out
    check("8.00 MiB" in shown, "show: %s" % shown)
    quota(pg, "clear", "--user", ALICE)
    check(as_user(ALICE, lambda: fill(os.path.join(one, "free"), 2 * limit)) == 0, "a limit that was cleared")

    # Inodes, of a group, with a server killed in the midst.
    quota(pg, "set", "--group", TEAM, "--inodes", 30)
    made = 0
    for n in range(40):
        if n == 10:
            pg.kill(2)
        directory = one if n % 2 else two
        path = os.path.join(directory, "team%d" % n)
        code = as_user(ALICE, (lambda: os.mkdir(path)) if n % 5 == 0 else (lambda: os.close(os.open(path, os.O_CREAT))), TEAM)
        check(code in (0, errno.EDQUOT), "%s: errno %d" % (path, code))
        check(code == 0 or made == 30, "refused after %d of 30" % made)
        made += code == 0
    check(made == 30, "%d inodes of 30" % made)
    pg.start(2)
    pg.wait_whole()

    # A directory, and one in it: all that is below is charged, nothing is moved out, df tells.
    project = os.path.join(pg.mount, "project")
    inner = os.path.join(project, "inner")
    os.mkdir(project)
    quota(pg, "set", "--directory", project, "--bytes", 4 * MIB, "--inodes", 20)
    os.mkdir(inner)
    quota(pg, "set", "--directory", inner, "--bytes", MIB)
    taken = fill(os.path.join(second, "project", "inner", "f"), 2 * MIB)
    check(taken == MIB, "the inner directory took %d" % taken)
    taken = fill(os.path.join(project, "g"), 8 * MIB)
    check(taken == 3 * MIB, "the outer directory took %d more" % taken)
    free = os.statvfs(inner)
    check((free.f_blocks * free.f_frsize, free.f_bavail) in ((MIB, 0), (4 * MIB, 0)), "df in it: %s" % (free,))
    check(os.statvfs(pg.mount).f_bavail > 0, "df at the top shows a directory's quota")
    for move in (os.rename, os.link):
        try:
            move(os.path.join(inner, "f"), os.path.join(one, "f"))
            check(False, "%s out of a directory with a quota" % move)
        except OSError as error:
            check(error.errno == errno.EXDEV, "%s: %s" % (move, error))
    must(["mv", os.path.join(inner, "f"), os.path.join(one, "f")], 30)
    check("empty" in quota(pg, "set", "--directory", one, "--bytes", "1M", code=1).err, "a directory that is not empty")

    # The volume binds everybody, root too.
    used = row(pg, "volume", 0)["bytes"]
    quota(pg, "set", "--bytes", used + 4 * MIB)
    taken = fill(os.path.join(second, "root"), 16 * MIB)
    check(3.5 * MIB <= taken <= 4 * MIB, "root wrote %d beyond" % taken)
    quota(pg, "clear")
    check("no user" in quota(pg, "set", "--user", "nobody-of-that-name", "--bytes", "1M", code=1).err, "a wrong name")
    pg.fsck()
    return "%s of %s; %d inodes of 30; the volume took %s of 4 MiB more" % (mib(now["bytes"]), mib(limit), made, mib(taken))
