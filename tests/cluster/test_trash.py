"""rm -r of a tree, and back again byte for byte: on two mounts, with a server killed in the midst; then the space comes back."""
import json
import os
import stat
import subprocess

import trees
from lib import Playground, call, check, claudefs, clean_environment, mib, must, note, tail, wait_for

def trash(pg, *arguments, code=0):
    done = call([claudefs(), "trash", arguments[0], "--cluster", pg.cluster_file] + list(arguments[1:]), 60,
                env=clean_environment(pg.work))
    check(done.code == code, "claudefs trash %s: exit %d, expected %d\n%s%s" % (" ".join(arguments), done.code, code,
                                                                             tail(done.out), tail(done.err)))
    return done


def listed(pg, *path):
    return json.loads(trash(pg, "list", "--json", *path).out)


def make_tree(top, files, sparse):
    """Real files and one of every shape, but for second names: only the last one of a file comes back."""
    trees.sample(top, files)
    for name in ("one, linked", "big, linked") + (() if sparse else ("sparse",)):
        os.unlink(os.path.join(top, "shapes", name))
    return sum(not stat.S_ISDIR(os.lstat(os.path.join(os.fsencode(top), p)).st_mode) for p in trees.walk(top))


def restore_all(pg, source, tree, other):
    """The tree comes back as it was, and the other mount sees it so."""
    done = trash(pg, "restore", "-r", tree)
    note(done.out.strip())
    for p in trees.walk(source):  # the time when a directory changed last: when rm took its last entry
        was, now = os.path.join(os.fsencode(source), p), os.path.join(os.fsencode(tree), p)
        if stat.S_ISDIR(os.lstat(was).st_mode):
            os.utime(now, ns=(os.lstat(was).st_atime_ns, os.lstat(was).st_mtime_ns))
    trees.compare(source, tree)
    trees.compare(source, other)
    check(listed(pg, tree) == [], "what was restored is still in the trash")


def run(context):
    source = os.path.join(context.work, "source")
    files = make_tree(source, context.pick(150, 2000, 20000), context.size != "quick")
    pg = Playground(context.work, nodes=3, size="512MiB", trash_hours=24).up()
    second = pg.mount_again()
    tree, other = os.path.join(pg.mount, "tree"), os.path.join(second, "tree")
    trees.copy(source, tree)

    must(["rm", "-r", other], 120)
    check(not os.path.exists(tree), "what one mount removed is there on the other")
    rows = listed(pg, tree)
    check(sum(not r["directory"] for r in rows) == files, "%d files removed, the trash lists %d" % (
        files, sum(not r["directory"] for r in rows)))
    check(all(r["path_known"] and (r["path"] + "/").startswith("/tree/") for r in rows), "some paths are not below /tree")
    status = pg.status()
    check(status["counts"]["trashed"] == files and status["space"]["trashed"] > 6 << 20, "status says %s, %s" % (
        status["counts"], status["space"]))
    restore_all(pg, source, tree, other)

    # A server dies while the tree goes, and another while it comes back.
    removing = subprocess.Popen(["rm", "-r", tree])
    pg.kill(2)
    check(removing.wait(60) == 0, "rm -r failed with a server killed in the midst")
    pg.start(2)
    pg.wait_whole()
    pg.kill(3)
    restore_all(pg, source, tree, other)
    pg.start(3)

    # A name that is taken stays; another place is found.
    big = os.path.join(tree, "shapes", "big")
    os.unlink(big)
    with open(os.path.join(other, "shapes", "big"), "w") as f:
        f.write("new")
    done = trash(pg, "restore", "/tree/shapes/big", code=3)
    check("--to" in done.err, "no mend is named: %s" % tail(done.err))
    check(open(big).read() == "new", "restore wrote over a file")
    trash(pg, "restore", "/tree/shapes/big", "--to", big + ".old")
    must(["cmp", os.path.join(source, "shapes", "big"), os.path.join(other, "shapes", "big.old")], 30)

    # Space comes back when it is emptied, not before.
    pg.wait_whole()
    must(["rm", "-r", tree], 120)
    full = pg.status()["space"]
    check(full["trashed"] > 6 << 20 and full["logical"] >= full["trashed"], "removed files do not count: %s" % full)
    trash(pg, "empty")
    check(listed(pg) == [], "the trash is not empty after `trash empty`")

    def is_back():
        now = pg.status()
        check(now["counts"]["inodes"] == 1 and now["space"]["stored"] < 1 << 20, "%s, %s" % (now["counts"], now["space"]))
        return True

    wait_for(is_back, 90, "the space of what was emptied comes back", 1)
    pg.fsck()
    return "%d entries twice there and back; %s freed by emptying" % (len(rows), mib(full["stored"]))
