"""Volumes come, are used beside each other, and go while they are mounted and a server dies: the rest notices nothing, the space comes back."""
import errno
import json
import os
import random
import time

import trees
from lib import Playground, call, check, claudefs, clean_environment, mib, must, note, tail, wait_for


def volume(pg, *arguments, code=0):
    done = call([claudefs(), "volume", arguments[0], "--cluster", pg.cluster_file] + list(arguments[1:]), 60,
                env=clean_environment(pg.work))
    check(done.code == code, "claudefs volume %s: exit %d, expected %d\n%s%s" % (" ".join(arguments), done.code, code,
                                                                              tail(done.out), tail(done.err)))
    return done


def listed(pg):
    return {row["name"]: row for row in json.loads(volume(pg, "list", "--json").out)}


def error_of(function, *arguments):
    try:
        function(*arguments)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "nothing"


def refused(pg, word, *arguments):
    done = volume(pg, *arguments, code=1)
    check(word in done.err, "volume %s does not say %r: %s" % (" ".join(arguments), word, tail(done.err)))


def follow_policies(context, pg, where):
    """The same words in another order take as much room as the policy of that moment allows; all of it reads back."""
    def grow_by(name):
        before = pg.wait_settled()["space"]["stored"]
        draw = random.Random(name)
        content = b" ".join(b"%d" % draw.randrange(1000) for _ in range(1 << 20))
        path = os.path.join(where, name)
        with open(path, "wb") as f:
            f.write(content)
            os.fsync(f.fileno())
        grown[name] = pg.wait_settled()["space"]["stored"] - before
        contents[path] = content
    grown, contents = {}, {}
    for policy in ("zstd:9", "off", "lz4"):
        volume(pg, "set", "other", "compression=" + policy)
        time.sleep(5)
        grow_by(policy)
    note(", ".join("%s: %s" % (name, mib(size)) for name, size in grown.items()))
    check(grown["zstd:9"] * 1.2 < grown["lz4"] and grown["lz4"] * 1.2 < grown["off"] and grown["off"] >= 3 << 20, "%s" % grown)
    for path, content in contents.items():
        check(open(path, "rb").read() == content, "%s reads back as something else" % path)
        os.unlink(path)  # and does not go to the trash


def run(context):
    source = os.path.join(context.work, "source")
    count = trees.sample(source, context.pick(150, 2000, 20000))
    pg = Playground(context.work, nodes=3, size="512MiB", trash_hours=24).up()
    check(list(listed(pg)) == ["default"], "a new cluster has %s" % listed(pg))
    refused(pg, "begin", "create", "No Name")
    refused(pg, "default", "delete", "--purge", "default")
    refused(pg, "there are: default", "delete", "projects")
    where = os.path.join(context.work, "nothing.mnt")
    os.makedirs(where)
    done = call([claudefs(), "mount", pg.address(1) + "/projects", where, "--cluster", pg.cluster_file], 60,
                env=clean_environment(pg.work))
    check(done.code != 0 and "claudefs volume create projects" in done.err, "mount of what is not there: %s" % tail(done.err))

    volume(pg, "create", "projects")
    volume(pg, "create", "other", "compression=zstd:9", "trash=off")
    refused(pg, "no policy", "set", "other", "compression=best")
    refused(pg, "1 to 19", "set", "other", "compression=zstd:77")
    rows = listed(pg)
    check((rows["projects"]["compression"], rows["other"]["compression"], rows["other"]["trash"]) == ("lz4", "zstd:9", "off"),
          "the policies are %s" % rows)
    refused(pg, "exists", "create", "projects")
    projects, other = pg.mount_again("projects", volume="projects"), pg.mount_again("other", volume="other")
    again = pg.mount_again("again", node=2, volume="projects")
    empty = pg.status()["counts"]["inodes"]
    trees.copy(source, os.path.join(projects, "tree"))
    trees.compare(source, os.path.join(again, "tree"))
    check(os.listdir(pg.mount) == [] and os.listdir(other) == [], "one volume shows in another")
    check(os.stat(projects + "/..").st_ino == os.stat(context.work).st_ino, ".. does not leave the mount")
    check(os.stat(projects).st_ino != os.stat(other).st_ino, "two volumes have one root")
    for target in (other, pg.mount):
        check(error_of(os.link, projects + "/tree", target + "/tree") in ("EXDEV", "EPERM"), "a link leaves the volume")
        check(error_of(os.rename, projects + "/tree", target + "/tree") == "EXDEV", "a rename leaves the volume")
    with open(os.path.join(other, "kept"), "w") as f:
        f.write("kept")

    follow_policies(context, pg, other)

    # Each has its own trash.
    must(["rm", "-r", os.path.join(again, "tree")], 120)
    trash = [claudefs(), "trash", "list", "--json", "--cluster", pg.cluster_file]
    check(json.loads(must(trash, 60).out) == [], "default's trash shows that of another volume")
    must([claudefs(), "trash", "restore", "--cluster", pg.cluster_file, "-r", os.path.join(projects, "tree")], 120)
    check(len(list(trees.walk(os.path.join(projects, "tree")))) > count // 2, "the trash of a volume gives nothing back")
    refused(pg, "--purge", "delete", "projects")

    # It goes while it is mounted twice, with a file open and a server dead.
    before = pg.status()["space"]["stored"]
    held = open(os.path.join(again, "held"), "w")
    held.write("x" * 100000)
    held.flush()
    pg.kill(3)
    volume(pg, "delete", "--purge", "projects")
    volume(pg, "create", "projects")

    def is_over():
        for mount in (projects, again):
            said = error_of(os.listdir, mount)
            check(said == "ESTALE", "a mount of what was deleted says %s" % said)
        said = error_of(os.pwrite, held.fileno(), b"y", 0)
        check(said == "ESTALE", "a file that was deleted with its volume is written to: %s" % said)
        return True

    wait_for(is_over, 30, "mounts of a deleted volume end")
    check(open(os.path.join(other, "kept")).read() == "kept", "another volume was harmed")
    pg.start(3)

    def is_gone():
        rows = json.loads(volume(pg, "list", "--json").out)
        check([r["state"] for r in rows] == ["active"] * 3, "%s" % rows)
        now = pg.status()
        check(now["counts"]["inodes"] == empty + 1 and now["space"]["stored"] < before // 4, "%s, %s" % (
            now["counts"], now["space"]))
        return True

    wait_for(is_gone, 120, "what was in the volume goes", 1)
    for log in ("projects.log", "again.log"):
        lines = [line for line in open(os.path.join(pg.directory, log)) if "was deleted; unmount it" in line]
        check(len(lines) == 1, "%s says %d times that the volume was deleted" % (log, len(lines)))
    error_of(held.close)
    for mount in (projects, again):
        pg.umount(mount)
    fresh = pg.mount_again("fresh", volume="projects")
    check(os.listdir(fresh) == [], "a volume begins with %s" % os.listdir(fresh))
    volume(pg, "delete", "projects")
    pg.fsck()
    return "%d entries, %s gone with their volume" % (count, mib(before))
