"""Who may do what: modes, groups without number, sticky directories, owners."""
import errno
import os

from suite import *  # noqa


def opened(path, flags):
    return lambda: os.close(os.open(path, flags))


@test(who="root")
def classes_of_mode_bits(d):
    path = write_file(d + "/f", b"x")
    os.chown(path, ALICE, STAFF)
    for mode in range(0o1000):
        if mode % 7 and mode not in (0o700, 0o070, 0o007, 0o640, 0o604):
            continue
        os.chmod(path, mode)
        for uid, gid, groups, shift in ((ALICE, ALICE, (), 6), (BOB, STAFF, (), 3), (BOB, BOB, (STAFF,), 3), (BOB, BOB, (), 0)):
            bits = mode >> shift
            def tries():
                return [os.access(path, os.R_OK), os.access(path, os.W_OK), os.access(path, os.X_OK)]
            equal(as_user(uid, tries, gid, groups), [bool(bits & 4), bool(bits & 2), bool(bits & 1)], "access with mode %o" % mode)
    for mode, flags, good in ((0o400, os.O_RDONLY, True), (0o400, os.O_RDWR, False), (0o200, os.O_WRONLY, True),
                              (0o200, os.O_RDONLY, False), (0o077, os.O_RDONLY, False)):
        os.chmod(path, mode)
        equal(may(ALICE, opened(path, flags)), good, "open with mode %o" % mode)


@test(who="root")
def groups_beyond_the_sixteenth(d):
    path = write_file(d + "/f", b"x", 0o640)
    groups = [70000 + i for i in range(200)]
    for group, good in ((groups[0], True), (groups[16], True), (groups[199], True), (70500, False)):
        os.chown(path, 0, group)
        equal(may(ALICE, opened(path, os.O_RDONLY), groups=groups), good, "reading as member number %d" % (group - 70000))
    os.mkdir(d + "/dir", 0o770)
    os.chown(d + "/dir", 0, groups[150])
    os.chmod(d + "/dir", 0o770)
    check(may(ALICE, lambda: write_file(d + "/dir/new"), groups=groups), "making in a directory of the 151st group")
    check(not may(ALICE, lambda: write_file(d + "/dir/new2"), groups=groups[:100]), "making without that group")


@test(who="root")
def a_group_joined_later_counts_at_once(d):
    os.mkdir(d + "/dir")
    os.chown(d + "/dir", 0, STAFF)
    os.chmod(d + "/dir", 0o770)

    def join():
        os.setgroups([])
        os.setresgid(ALICE, ALICE, ALICE)
        os.setresuid(ALICE, ALICE, 0)
        must_fail(errno.EACCES, os.stat, d + "/dir/x")
        os.setresuid(0, 0, 0)
        os.setgroups([STAFF])
        os.setresuid(ALICE, ALICE, ALICE)
        write_file(d + "/dir/x", b"in")
    forked(lambda: None, join)


@test(who="root")
def searching_and_reading_directories(d):
    os.mkdir(d + "/dir")
    write_file(d + "/dir/f", b"x", 0o644)
    for mode, search, listing in ((0o755, True, True), (0o711, True, False), (0o744, False, True), (0o700, False, False)):
        os.chmod(d + "/dir", mode)
        equal(may(ALICE, lambda: os.stat(d + "/dir/f")), search, "search with mode %o" % mode)
        equal(may(ALICE, lambda: os.listdir(d + "/dir")), listing, "listing with mode %o" % mode)


@test(who="root")
def changing_directories_takes_write_and_search(d):
    os.mkdir(d + "/dir")
    for name in ("a", "b", "c"):
        write_file(d + "/dir/" + name)
    os.mkdir(d + "/dir/e")
    os.mkdir(d + "/own")
    os.chown(d + "/own", ALICE, ALICE)
    as_user(ALICE, lambda: write_file(d + "/own/mine") and None)
    changes = (lambda: write_file(d + "/dir/new"), lambda: os.mkdir(d + "/dir/newdir"), lambda: os.symlink("x", d + "/dir/l"),
               lambda: os.mkfifo(d + "/dir/fifo"), lambda: os.unlink(d + "/dir/a"), lambda: os.rmdir(d + "/dir/e"),
               lambda: os.rename(d + "/dir/b", d + "/dir/bb"), lambda: os.rename(d + "/dir/b", d + "/own/b"),
               lambda: os.rename(d + "/own/mine", d + "/dir/mine"), lambda: os.link(d + "/own/mine", d + "/dir/mine"))
    for mode in (0o755, 0o766, 0o700):
        os.chmod(d + "/dir", mode)
        for number, change in enumerate(changes):
            check(not may(ALICE, change), "change %d with mode %o" % (number, mode))
    os.chmod(d + "/dir", 0o777)
    check(may(ALICE, changes[0]) and may(ALICE, changes[4]), "changes with mode 777")


@test(who="root")
def sticky_directories(d):
    for name in ("root", "alice", "bob"):
        os.mkdir(d + "/" + name)
    os.chmod(d, 0o1777)
    for uid in (ALICE, BOB):
        as_user(uid, lambda: (write_file(d + "/file%d" % uid), os.mkdir(d + "/dir%d" % uid)) and None)
    alices, bobs = d + "/file%d" % ALICE, d + "/file%d" % BOB
    must_fail(errno.EPERM, as_user, BOB, lambda: os.unlink(alices))
    must_fail(errno.EPERM, as_user, BOB, lambda: os.rmdir(d + "/dir%d" % ALICE))
    must_fail(errno.EPERM, as_user, BOB, lambda: os.rename(alices, d + "/x"))
    must_fail(errno.EPERM, as_user, BOB, lambda: os.rename(bobs, alices))
    must_fail(errno.EPERM, as_user, BOB, lambda: renameat2(bobs, alices, EXCHANGE))
    os.chmod(alices, 0o666)  # so that hard links of others' files are allowed everywhere
    check(may(BOB, lambda: os.rename(bobs, d + "/bobs")), "the owner renames")
    check(may(ALICE, lambda: os.unlink(alices)), "the owner removes")
    os.chown(d, BOB, BOB)
    check(may(BOB, lambda: os.rmdir(d + "/dir%d" % ALICE)), "the directory's owner removes")


@test(who="root")
def only_owners_change_modes_and_times(d):
    path = write_file(d + "/f")
    os.chown(path, ALICE, ALICE)
    os.chmod(path, 0o666)
    must_fail(errno.EPERM, as_user, BOB, lambda: os.chmod(path, 0o600))
    must_fail(errno.EPERM, as_user, BOB, lambda: os.utime(path, (1, 1)))
    as_user(BOB, lambda: os.utime(path))  # "now" takes the right to write only
    os.chmod(path, 0o644)
    must_fail(errno.EACCES, as_user, BOB, lambda: os.utime(path))
    as_user(ALICE, lambda: (os.chmod(path, 0o600), os.utime(path, (1, 1))) and None)
    must_fail(errno.EACCES, as_user, BOB, lambda: os.truncate(path, 0))


@test(who="root")
def only_root_gives_away(d):
    path = write_file(d + "/f")
    os.chown(path, ALICE, ALICE)
    must_fail(errno.EPERM, as_user, ALICE, lambda: os.chown(path, BOB, -1))
    must_fail(errno.EPERM, as_user, ALICE, lambda: os.chown(path, -1, STAFF))
    as_user(ALICE, lambda: os.chown(path, -1, STAFF), groups=(STAFF,))
    equal(os.stat(path).st_gid, STAFF, "group")
    as_user(ALICE, lambda: os.chown(path, ALICE, -1))
    must_fail(errno.EPERM, as_user, BOB, lambda: os.chown(path, -1, BOB))


@test(who="root")
def an_open_descriptor_keeps_its_rights(d):
    path = write_file(d + "/f", b"before")
    os.chown(path, ALICE, ALICE)

    def use():
        fd = os.open(path, os.O_RDWR)
        os.chmod(path, 0)
        os.pwrite(fd, b"after!", 0)
        os.fsync(fd)
        equal(os.pread(fd, 10, 0), b"after!", "what is read")
        os.ftruncate(fd, 3)
        os.close(fd)
        must_fail(errno.EACCES, os.open, path, os.O_RDONLY)
    as_user(ALICE, use)


@test(who="root")
def a_program_that_may_be_run_but_not_read(d):
    path = d + "/true"
    with open("/bin/true", "rb") as f:
        write_file(path, f.read())
    os.chmod(path, 0o711)
    equal(as_user(ALICE, lambda: os.spawnv(os.P_WAIT, path, [path])), 0, "exit status of a program that cannot be read")
    must_fail(errno.EACCES, as_user, ALICE, lambda: os.open(path, os.O_RDONLY))
    os.chmod(path, 0o644)
    equal(os.access(path, os.X_OK), False, "root runs what nobody may run")


@test(who="root")
def created_without_permission_and_still_writable(d):
    os.chmod(d, 0o777)

    def make():
        fd = os.open(d + "/f", os.O_CREAT | os.O_RDWR, 0)
        os.write(fd, b"x")
        os.close(fd)
        must_fail(errno.EACCES, os.open, d + "/f", os.O_RDWR)
    as_user(ALICE, make)
