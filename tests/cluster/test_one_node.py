"""A cluster of one node: write, read, restart, compare, destroy."""
import os

import trees
from lib import Playground, check


def run(context, nodes=1):
    source = os.path.join(context.work, "source")
    count = trees.sample(source, context.pick(200, 1500, 10000))
    pg = Playground(context.work, nodes=nodes).up()
    copied = trees.copy(source, os.path.join(pg.mount, "copy"))
    trees.compare(source, os.path.join(pg.mount, "copy"))
    pg.wait_whole(60)  # what a node that just started holds is looked at first
    status = pg.status()
    check(len(status["nodes"]) == nodes, "status lists %d nodes" % len(status["nodes"]))
    check(status["cluster"]["state"] == "healthy", "state is %s: %s" % (status["cluster"]["state"], status["alerts"]))
    pg.remount()
    trees.compare(source, os.path.join(pg.mount, "copy"))
    pg.down()
    pg.up()
    trees.compare(source, os.path.join(pg.mount, "copy"))
    pg.wait_whole(60)
    mount = pg.mount
    pg.destroy()
    check(not os.path.ismount(mount), "destroy left the mount")
    return "%d entries, copied in %.1f s" % (count, copied)
