"""Set-id bits: who may set them, what clears them, what a set-group-id directory hands on."""
import errno
import os

from suite import *  # noqa


@test(who="root")
def a_write_clears_them(d):
    for mode, after in ((0o4755, 0o755), (0o2755, 0o755), (0o6777, 0o777)):
        path = write_file(d + "/f%o" % mode)
        os.chown(path, ALICE, ALICE)
        os.chmod(path, 0o666)
        os.chmod(path, mode | 0o006)

        def write():
            fd = os.open(path, os.O_WRONLY)
            os.write(fd, b"x")
            os.close(fd)
        as_user(BOB, write)
        equal(mode_of(path), after | 0o006, "mode after a write, from %o" % mode)


@test(who="root")
def truncation_clears_them(d):
    path = write_file(d + "/f", b"12345")
    os.chown(path, ALICE, ALICE)
    os.chmod(path, 0o6777)
    as_user(BOB, lambda: os.truncate(path, 2))
    equal(mode_of(path), 0o777, "mode after truncate")
    os.chmod(path, 0o6777)
    as_user(BOB, lambda: os.close(os.open(path, os.O_WRONLY | os.O_TRUNC)))
    equal(mode_of(path), 0o777, "mode after O_TRUNC")


@test(who="root")
def without_group_execute_the_group_keeps_its_bit(d):
    """Linux 6.2 and later: who does not belong to the group clears it all the same."""
    def write(path):
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, b"x")
        os.close(fd)

    for change in (write, lambda path: os.truncate(path, 2), lambda path: os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))):
        path = write_file(d + "/f", b"12345")
        os.chown(path, ALICE, STAFF)
        os.chmod(path, 0o2666)
        as_user(BOB, lambda: change(path), groups=(STAFF,))
        equal(mode_of(path), 0o2666, "mode after a change by one of the group")
        as_user(BOB, lambda: change(path))
        equal(mode_of(path), 0o666, "mode after a change by a stranger")
        os.unlink(path)


@test(who="root")
def a_new_owner_clears_them(d):
    path = write_file(d + "/f")
    for uid, gid in ((ALICE, -1), (-1, STAFF), (BOB, BOB)):
        os.chmod(path, 0o6755)
        os.chown(path, uid, gid)
        equal(mode_of(path), 0o755, "mode after chown(%d, %d)" % (uid, gid))
    os.chmod(path, 0o2644)
    os.chown(path, ALICE, -1)
    equal(mode_of(path), 0o2644, "set-group-id without group-execute")
    os.mkdir(d + "/dir")
    os.chmod(d + "/dir", 0o6755)
    os.chown(d + "/dir", ALICE, ALICE)
    equal(mode_of(d + "/dir"), 0o6755, "mode of a directory after chown")
    os.chown(path, ALICE, STAFF)
    os.chmod(path, 0o6755)
    as_user(ALICE, lambda: os.chown(path, -1, ALICE))
    equal(mode_of(path), 0o755, "mode after the owner's chown")


@test(who="root")
def root_writes_and_they_stay(d):
    path = write_file(d + "/f")
    os.chmod(path, 0o6755)
    write_file(path, b"x")
    equal(mode_of(path), 0o6755, "mode after root wrote")


@test(who="root")
def not_for_strangers_to_the_group(d):
    path = write_file(d + "/f")
    os.chown(path, ALICE, STAFF)
    as_user(ALICE, lambda: os.chmod(path, 0o2755))
    equal(mode_of(path), 0o755, "set-group-id by one who is not in the group")
    as_user(ALICE, lambda: os.chmod(path, 0o2755), groups=(STAFF,))
    equal(mode_of(path), 0o2755, "set-group-id by one who is")


@test(who="root")
def directories_hand_on_their_group(d):
    os.mkdir(d + "/dir")
    os.chown(d + "/dir", BOB, STAFF)
    os.chmod(d + "/dir", 0o2777)

    def make():
        write_file(d + "/dir/f")
        os.mkdir(d + "/dir/sub")
        os.symlink("x", d + "/dir/l")
        os.mkfifo(d + "/dir/p")
        fd = os.open(d + "/dir/x", os.O_CREAT | os.O_WRONLY, 0o2775)
        os.close(fd)
    as_user(ALICE, make)
    for name in ("f", "sub", "l", "p", "x"):
        st = os.lstat(d + "/dir/" + name)
        equal((st.st_uid, st.st_gid), (ALICE, STAFF), "owner and group of " + name)
    check(mode_of(d + "/dir/sub") & 0o2000, "a directory inside has the bit as well")
    check(not mode_of(d + "/dir/f") & 0o2000, "a file inside has not")
    check(not mode_of(d + "/dir/x") & 0o2000, "a program of a group that its maker is not in")
