"""A real tree of at least 20,000 files: through remount and restart, twice, and the figures of status."""
import os
import shutil

import trees
from lib import Playground, check, mib, note


def check_figures(pg):
    """status against the disks."""
    status = pg.wait_settled(120)
    by_top = {}
    for n in range(1, pg.nodes + 1):
        for top, size in trees.disk_use(pg.data(n)).items():
            by_top[top] = by_top.get(top, 0) + size
    on_disk, told = sum(by_top.values()), status["space"]["raw_used"]
    parts = ", ".join("%s %s" % (top or ".", mib(size)) for top, size in sorted(by_top.items()))
    note("raw_used %s; on the disks %s (%s)" % (mib(told), mib(on_disk), parts))
    check(abs(told - on_disk) <= 0.2 * on_disk, "status says raw_used %s, the data directories hold %s (%s): more than 20 %% apart"
          % (mib(told), mib(on_disk), parts))
    return status


def run(context):
    source = os.path.join(context.work, "source")
    count = trees.sample(source, context.pick(2000, 22000, 60000))
    if context.size != "quick":
        check(count >= 20000, "this machine's /usr/share and /usr/include give only %d entries" % count)
    apparent = sum(os.lstat(os.path.join(os.fsencode(source), p)).st_size for p in trees.walk(source) if p
                   and os.path.isfile(os.path.join(os.fsencode(source), p)))
    pg = Playground(context.work).up()
    first = os.path.join(pg.mount, "first")
    seconds = trees.copy(source, first)
    note("%d entries, %s: copied in %.1f s (%.0f/s)" % (count, mib(apparent), seconds, count / seconds))
    trees.compare(source, first)
    pg.remount()
    trees.compare(source, first)
    pg.down()
    pg.up()
    trees.compare(source, first)

    before = pg.wait_settled(120)["space"]
    again = trees.copy(source, os.path.join(pg.mount, "second"))
    after = check_figures(pg)["space"]
    logical, stored = after["logical"] - before["logical"], after["stored"] - before["stored"]
    note("second copy in %.1f s: logical +%s, stored +%s" % (again, mib(logical), mib(stored)))
    check(logical >= 0.5 * apparent, "the second copy added only %s to space.logical" % mib(logical))
    check(stored < 0.15 * logical, "the second copy of the same tree took %s of %s" % (mib(stored), mib(logical)))
    shutil.rmtree(first)
    trees.compare(source, os.path.join(pg.mount, "second"))  # what both shared is still there
    return "%d entries in %.1f s and %.1f s; reduction %.2f x; second copy +%.1f %%" % (
        count, seconds, again, after["logical"] / max(1, after["stored"]), 100.0 * stored / max(1, logical))
