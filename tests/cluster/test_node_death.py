"""kill -9 of one node while a copy runs, for each node in turn, so that every leader is among them."""
import os
import subprocess
import time

import trees
from lib import Failure, Playground, Prober, check, kill_group, note, tail, wait_for

LONGEST_GAP = 5.0  # seconds; the aim is 2


def entries(directory):
    return sum(1 for _ in trees.walk(directory)) if os.path.isdir(directory) else 0


def one_death(pg, source, count, node):
    target = os.path.join(pg.mount, "copy-%d" % node)
    prober = Prober(os.path.join(pg.mount, "probe-%d" % node))
    copier = subprocess.Popen(["cp", "-a", source, target], stderr=subprocess.PIPE, start_new_session=True)
    wait_for(lambda: os.path.isdir(target), 30, "the copy's first directory")
    time.sleep(1.0)
    check(copier.poll() is None, "the copy ended before the node was killed: the sample is too small to test anything")
    pg.kill(node)
    try:
        _, err = copier.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        kill_group(copier)
        raise Failure("with node %d dead the copy does not end in 180 s" % node)
    check(copier.returncode == 0, "with node %d dead cp failed:\n%s" % (node, tail(err)))
    time.sleep(1.0)
    probed = prober.stop()
    check(not probed["errors"], "operations failed when node %d died: %s" % (node, probed["errors"][:5]))
    check(probed["operations"] > 20, "only %d operations were probed" % probed["operations"])
    check(entries(target) == count, "the copy has %d of %d entries" % (entries(target), count))
    trees.compare(source, target)
    # A fresh client has nothing cached: what it reads comes from the two nodes that live.
    fresh = pg.mount_again("fresh-%d" % node, node=node % pg.nodes + 1)
    trees.compare(source, os.path.join(fresh, "copy-%d" % node))
    pg.umount(fresh)
    status = pg.status()
    check(status["cluster"]["state"] == "degraded", "with node %d dead status says %s" % (node, status["cluster"]["state"]))
    check(any("node %d" % node in alert for alert in status["alerts"]), "no alert names node %d: %s" % (node, status["alerts"]))
    pg.start(node)
    seconds, _ = pg.wait_whole(90)
    note("node %d: longest gap %.2f s in %d operations, full redundancy %.1f s after its start" % (
        node, probed["longest_gap"], probed["operations"], seconds))
    return probed["longest_gap"], seconds


def run(context):
    source = os.path.join(context.work, "source")
    count = trees.sample(source, context.pick(1200, 3000, 20000))
    pg = Playground(context.work).up()
    gaps, repairs = zip(*[one_death(pg, source, count, node) for node in range(1, pg.nodes + 1)])
    for node in range(1, pg.nodes + 1):  # and all of it is still there when everybody is back
        trees.compare(source, os.path.join(pg.mount, "copy-%d" % node))
    pg.fsck()
    check(max(gaps) <= LONGEST_GAP, "longest time without an operation: %.2f s; at most %.0f s is allowed" % (max(gaps), LONGEST_GAP))
    return "longest gap %.2f s, full redundancy after %.1f s at most" % (max(gaps), max(repairs))
