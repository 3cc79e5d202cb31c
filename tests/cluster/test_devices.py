"""Nodes with two devices: journal, Raft log and metadata on a fast one, shards on a large one.

Killed, swapped, one of the two lost, a node that gets its fast device later, a fast device that is full: whatever is wrong is
refused in one clear line that names the mend, the mend is tried, and nothing that was fsynced is lost.
"""
import json
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.request

from bad_cluster import one_line
from lib import IS_ROOT, Playground, call, check, claudefs, clean_environment, must, note, wait_for

SIZES = (300, 5_000, 60_000, 400_000, 2_500_000)  # inline, small, journal, direct, several segments


def content(number):
    noise = random.Random(number)
    return noise.randbytes(SIZES[number % len(SIZES)])


def path_of(base, number):
    return os.path.join(base, "file-%d" % number)


def write(base, number):
    fd = os.open(path_of(base, number), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        left = memoryview(content(number))
        while left:
            left = left[os.write(fd, left):]
        os.fsync(fd)
    finally:
        os.close(fd)


def compare(base, numbers):
    for number in numbers:
        with open(path_of(base, number), "rb") as f:
            check(f.read() == content(number), "file %d, which was fsynced, reads otherwise" % number)


def server(pg, node, *more, data=None, fast=None):
    """Its server, run by hand with the directories given; it should end by itself."""
    argv = [claudefs(), "server", "--cluster", pg.cluster_file, "--node", str(node), "--data", data or pg.data(node), "--metrics",
            "off", "--log-level", "error"]
    if fast != "":
        argv += ["--fast", fast or pg.fast(node)]
    return call(argv + list(more), 15, env=clean_environment(pg.work))


def figures_agree(pg):
    status = pg.status()
    for node in status["nodes"]:
        names = [device["name"] for device in node["devices"]]
        check(names == ["data", "fast"], "status names the devices %s" % names)
        data, fast = node["devices"]
        check(data["directory"] == pg.data(node["id"]) and fast["directory"] == pg.fast(node["id"]), "directories %s" % node["devices"])
        check(0 < fast["used"] <= fast["total"] == 256 << 20, "the fast device: %s" % fast)
        check(0 < data["used"] < data["total"] == 1 << 30, "the data device: %s" % data)
        check(data["used"] + fast["used"] == node["raw_used"], "%s and %s are not %s" % (data["used"], fast["used"], node["raw_used"]))
        check(data["fault"] == fast["fault"] == "", "devices %s" % node["devices"])
    text = pg.verb("status").out
    check(all(pg.fast(n) in text for n in (1, 2, 3)), "status does not show the devices:\n%s" % text)
    host, port = pg.address(1).split(":")
    page = urllib.request.urlopen("http://%s:%d/metrics" % (host, int(port) + pg.nodes), timeout=10).read().decode()
    for name in ("used_bytes", "total_bytes", "healthy"):
        for device in ("data", "fast"):
            check('claudefs_device_%s{device="%s"}' % (name, device) in page, "/metrics lacks claudefs_device_%s of %s" % (name, device))


def where_what_lies(pg, node):
    data, fast = set(os.listdir(pg.data(node))), set(os.listdir(pg.fast(node)))
    check(data == {"superblock", "shards"}, "the data directory holds %s" % sorted(data))
    check(fast - {"lock"} == {"superblock", "journal", "meta", "raft"}, "the fast directory holds %s" % sorted(fast))


def mistakes(pg):
    """With node 1 down: every wrong pair of directories is refused."""
    one_line(server(pg, 1, data=pg.fast(1), fast=pg.data(1)), "swapped", "--data", "--fast", "node 1")
    one_line(server(pg, 1, fast=""), "--fast", "journal", "node 1")
    one_line(server(pg, 1, fast=pg.data(1)), "same directory")
    one_line(server(pg, 1, fast=pg.fast(2)), "in use")  # node 2 runs
    others = os.path.join(pg.work, "of-node-2")
    os.makedirs(others)
    shutil.copy(os.path.join(pg.fast(2), "superblock"), others)
    one_line(server(pg, 1, fast=others), "of-node-2", "node 2", "this is node 1")
    one_line(server(pg, 1, "--pair-devices"), "belong together already")


def lose(pg, base, done, node, fast):
    """One of a node's two devices is gone for good."""
    lost = pg.fast(node) if fast else pg.data(node)
    pg.kill(node)
    away = os.path.join(pg.work, "lost-%d" % node)
    os.rename(lost, away)
    write(base, len(done))
    done.append(len(done))
    for _ in range(2):
        one_line(server(pg, node), os.path.basename(lost) + " is empty", "node %d" % node, "mount", "--pair-devices")
    must([claudefs(), "server", "--cluster", pg.cluster_file, "--node", str(node), "--data", pg.data(node), "--fast", pg.fast(node),
          "--pair-devices"], 20, env=clean_environment(pg.work))
    pg.start(node)
    seconds, _ = pg.wait_whole(60)
    compare(base, done)
    pg.kill(node)
    shutil.rmtree(lost)
    os.rename(away, lost)  # it was not lost after all; but the node has promised more since
    one_line(server(pg, node), "not of the same time", "--pair-devices")
    return seconds


def two_devices(context):
    pg = Playground(context.work, size="1GiB", fast_size="256MiB").up()
    base = os.path.join(pg.mount, "files")
    os.mkdir(base)
    done = list(range(context.pick(20, 40, 200)))
    for number in done:
        write(base, number)
    pg.wait_whole(60)
    figures_agree(pg)
    where_what_lies(pg, 1)
    pg.kill_everything()
    pg.up()
    compare(base, done)
    pg.kill(1)
    mistakes(pg)
    pg.start(1)
    pg.wait_whole(60)
    took = [lose(pg, base, done, 1, fast=True)]
    # The old fast device lies there again: emptied, it is as good as a new one.
    shutil.rmtree(pg.fast(1))
    must([claudefs(), "server", "--cluster", pg.cluster_file, "--node", "1", "--data", pg.data(1), "--fast", pg.fast(1),
          "--pair-devices"], 20, env=clean_environment(pg.work))
    pg.start(1)
    pg.wait_whole(60)
    took.append(lose(pg, base, done, 2, fast=False))
    shutil.rmtree(pg.data(2))
    server(pg, 2, "--pair-devices")
    pg.start(2)
    pg.wait_whole(60)
    compare(base, done)
    pg.fsck()
    pg.destroy()
    return "%d files; whole %.1f s after a lost fast device, %.1f s after a lost data device" % (len(done), *took)


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
import test_devices
number = 1000
while True:
    test_devices.write(sys.argv[2], number)
    print(number, flush=True)
    number += 1
"""


def moved_out_and_full(context):
    """A node alone, so that nobody else has what it would forget."""
    pg = Playground(context.work, "one", nodes=1, size="1GiB").up()
    base = os.path.join(pg.mount, "files")
    os.mkdir(base)
    done = list(range(20))
    for number in done:
        write(base, number)
    pg.down()
    os.makedirs(pg.fast(1))
    small = IS_ROOT and call(["mount", "-t", "tmpfs", "-o", "size=230m", "none", pg.fast(1)], 20).code == 0
    one_line(server(pg, 1), "--fast", "move journal, meta and raft", "--pair-devices")
    for name in ("journal", "meta", "raft"):
        must(["mv", os.path.join(pg.data(1), name), pg.fast(1)], 60)
    must([claudefs(), "server", "--cluster", pg.cluster_file, "--node", "1", "--data", pg.data(1), "--fast", pg.fast(1),
          "--pair-devices"], 20, env=clean_environment(pg.work))
    one_line(server(pg, 1, fast=""), "--fast", "journal")
    state = os.path.join(pg.directory, "playground.json")
    with open(state) as f:
        told = json.load(f)
    told["fast_size"] = 256 << 20
    with open(state, "w") as f:
        json.dump(told, f)
    pg.up()
    where_what_lies(pg, 1)
    compare(base, done)
    if small:
        done += fill(pg, base)
    pg.kill_everything()
    pg.up()
    compare(base, done)
    pg.fsck()
    if small:
        pg.down()
        must(["umount", pg.fast(1)], 20)
    pg.destroy()
    return "moved%s: %d files right" % (" and full" if small else "; not filled, which needs root", len(done))


def fill(pg, base):
    """Somebody else takes the rest of the fast device while a program writes. Gives the files that were acknowledged."""
    foreign = os.path.join(pg.fast(1), "lost+found")  # which a node leaves alone
    done = call(["dd", "if=/dev/zero", "of=" + foreign, "bs=1M"], 30)
    check(done.code != 0, "a device of 230 MiB is not full after %s" % done.err)
    with open(os.path.join(pg.work, "acknowledged"), "w+") as said:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, os.path.dirname(os.path.abspath(__file__)), base], stdout=said,
                                  stdin=subprocess.DEVNULL)
        try:
            wait_for(lambda: any("fast device" in alert and "full" in alert and pg.fast(1) in alert for alert in pg.status()["alerts"]), 20,
                     "status says that the fast device is full")
            time.sleep(4)
            pg.kill_everything()
        finally:
            writer.kill()
            writer.wait(30)
        said.seek(0)
        acknowledged = [int(line) for line in said.read().split()]
    os.unlink(foreign)
    pg.up()
    note("full: %d files acknowledged meanwhile" % len(acknowledged))
    return acknowledged


def run(context):
    context.steps.run("two_devices", two_devices, context, limit=90)
    context.steps.run("moved_out_and_full", moved_out_and_full, context, limit=60)
