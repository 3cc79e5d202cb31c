"""Data directories that a server must refuse, or mend, and never harm."""
import glob
import os
import shutil
import struct
import time

import trees
from bad_cluster import crc32c, flip, one_line
from lib import IS_ROOT, Skip, call, check, claudefs, must, note, wait_for

# Seconds that a node is away while its disk is replaced: the others notice, and then look what it lost.
AWAY = 6


def other_node(v):
    with v.without(1):
        one_line(v.server(2, v.pg.data(1)), "node 1", "node 2|is.* 2", "node-1/data|port|address")


def other_cluster(v):
    other = os.path.join(v.work, "other.toml")
    must([claudefs(), "cluster", "init", "--name", "other", "--node", "1=127.0.0.1:31991", "--out", other], 20, env=v.env)
    with v.without(1):
        one_line(v.server(1, v.pg.data(1), cluster=other), "cluster", "node-1/data")


def locked(v):
    pid = v.pg.node_pid(1)
    one_line(v.server(1, v.pg.data(1)), "node-1/data", "in use", str(pid), "stop")
    check(v.pg.node_pid(1) == pid, "the refused server ended the one that runs")


def other_files(v):
    data = os.path.join(v.work, "photos")
    os.makedirs(data)
    with open(os.path.join(data, "holiday.jpg"), "w") as f:
        f.write("irreplaceable")
    with v.without(1):
        one_line(v.server(1, data), "photos", "holiday.jpg", "empty")
    check(os.listdir(data) == ["holiday.jpg"], "the refused directory now holds %s" % os.listdir(data))
    check(open(os.path.join(data, "holiday.jpg")).read() == "irreplaceable", "somebody's file was changed")


def read_only(v):
    if IS_ROOT:
        script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        prefix = ["unshare", "--mount", "sh", "-c", script, v.pg.data(1)]
        if call(prefix + ["true"], 20).code != 0:
            raise Skip("no mount namespaces here")
        with v.without(1):
            one_line(v.server(1, v.pg.data(1), prefix=prefix), "node-1/data", "writ|read-only", "mode|owner|mount|user")
        return
    with v.without(1):
        os.chmod(v.pg.data(1), 0o500)
        try:
            one_line(v.server(1, v.pg.data(1)), "node-1/data", "writ", "mode|owner|user")
        finally:
            os.chmod(v.pg.data(1), 0o755)


def full_disk(v):
    if not IS_ROOT:
        raise Skip("needs root, to mount a small disk")
    if not shutil.which("mkfs.ext4"):
        raise Skip("mkfs.ext4 is not installed")
    image, where = os.path.join(v.work, "small.img"), os.path.join(v.work, "small")
    os.makedirs(where)
    with open(image, "wb") as f:
        f.truncate(24 << 20)
    must(["mkfs.ext4", "-q", "-F", image], 30)
    if call(["mount", "-o", "loop", image, where], 30).code != 0:
        raise Skip("no loop devices here")
    try:
        with v.without(1):
            with open(os.path.join(where, "ballast"), "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"x" * 4096)
                except OSError:
                    pass
            one_line(v.server(1, os.path.join(where, "data")), "small/data", "space|full|free|room")
    finally:
        must(["umount", "-l", where], 30)


def superblock_of(v):
    path = os.path.join(v.pg.data(1), "superblock")
    check(os.path.exists(path), "%s does not exist" % path)
    return path


def damaged_superblock(v):
    path = superblock_of(v)
    with v.without(1):
        shutil.copy(path, path + ".good")
        good = open(path, "rb").read()
        try:
            for at in range(0, len(good), 9):
                with open(path, "wb") as f:
                    f.write(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1:])
                one_line(v.server(1, v.pg.data(1)), "node-1/data", "superblock", "empty|restore|rejoin")
            for text in (b"", good[: len(good) // 2], bytes(len(good))):
                with open(path, "wb") as f:
                    f.write(text)
                one_line(v.server(1, v.pg.data(1)), "node-1/data", "superblock", "empty|restore|rejoin")
        finally:
            os.replace(path + ".good", path)


def unknown_version(v):
    """A superblock that checks, of a version yet to come (docs/formats/superblock.md)."""
    path = superblock_of(v)
    with v.without(1):
        good = open(path, "rb").read()
        try:
            head = bytearray(good[:16])
            check(head[:4] == b"CFSB" and crc32c(bytes(head[:12]) + good[16:]) == struct.unpack("<I", head[12:16])[0],
                  "the superblock is not as docs/formats/superblock.md says")
            struct.pack_into("<H", head, 4, 99)
            struct.pack_into("<I", head, 12, crc32c(bytes(head[:12]) + good[16:]))
            with open(path, "wb") as f:
                f.write(bytes(head) + good[16:])
            one_line(v.server(1, v.pg.data(1)), "node-1/data", "version|format")
        finally:
            with open(path, "wb") as f:
                f.write(good)


def damaged_log(v):
    """Flipped bytes in the middle of the Raft log: repaired from the peers, or refused in clear words; never silently lost."""
    with v.without(1):
        logs = [p for p in glob.glob(os.path.join(v.pg.data(1), "raft", "**"), recursive=True) if p.endswith(".log")]
        check(logs, "no log files in %s/raft" % v.pg.data(1))
        damaged = 0
        for path in logs:
            with open(path, "rb") as f:
                content = f.read()
            used = len(content.rstrip(b"\0"))
            if used > 20000:  # beyond the header, and not at the end
                for at in range(8192, used - 8192, max(8192, used // 5)):
                    flip(path, at, 16)
                    damaged += 1
        check(damaged, "the Raft log holds too little to damage its middle: %s" % logs)
        mark = os.path.getsize(os.path.join(v.pg.node_directory(1), "log"))
    note("flipped 16 bytes at %d places of %d files" % (damaged, len(logs)))
    if not comes_back(v, mark):
        return "refused, in clear words"
    # It serves. Without node 2 nothing goes through unless what node 1 knows is right.
    with v.without(2):
        fresh = v.pg.mount_again("after-damage", node=3)
        trees.compare(v.source, os.path.join(fresh, "copy"))
        v.pg.umount(fresh)
    return "repaired from the peers"


def comes_back(v, mark):
    """True when node 1 is in full health again; False when it ended with a clear message, and was set up anew."""
    def decided():
        if v.pg.node_pid(1) is None:
            return "ended"
        return "whole" if "serving" in said_since(v, mark) and v.pg.is_whole() else None

    if wait_for(decided, 90, "node 1 is repaired or refuses", 0.5) == "whole":
        return True
    said = said_since(v, mark)
    check("damage" in said.lower() or "corrupt" in said.lower(), "node 1 ended without a word about the damage:\n%s" % said[-1500:])
    check("raft" in said, "the message does not name what is damaged:\n%s" % said[-1500:])
    time.sleep(AWAY)
    shutil.rmtree(v.pg.data(1))  # what the message tells: start empty, be filled from the others
    mark = os.path.getsize(os.path.join(v.pg.node_directory(1), "log"))
    v.pg.start(1)
    wait_refilled(v, mark)
    return False


def said_since(v, mark):
    with open(os.path.join(v.pg.node_directory(1), "log"), "rb") as f:
        f.seek(mark)
        return f.read().decode(errors="replace")


def shard_bytes(v, node):
    files = glob.glob(os.path.join(v.pg.data(node), "shards", "**"), recursive=True)
    return sum(os.path.getsize(f) for f in files if os.path.isfile(f))


def wait_refilled(v, mark):
    """Node 1 came back empty: it counts again in every shard of metadata, and holds about as much data as the others (equal shares of 2+1)."""
    seen = {"bytes": -1, "since": 0.0}

    def has_its_share():
        own, others = shard_bytes(v, 1), min(shard_bytes(v, 2), shard_bytes(v, 3))
        if own != seen["bytes"]:
            seen.update(bytes=own, since=time.monotonic())
        # Not all that the others hold: what nothing refers to is not repaired. A new leader looks after 20 s.
        check(own >= 0.9 * others, "node 1 has %d bytes of shards, the others %d" % (own, others))
        return time.monotonic() - seen["since"] > 30

    wait_for(lambda: "member of all its shards" in said_since(v, mark), 90, "node 1 has its metadata again", 0.5)
    wait_for(has_its_share, 100, "node 1 has its data again", 0.5)
    return v.pg.wait_whole(90)


def lost_disk(v):
    """A node whose directory is gone comes back empty and is filled from the others."""
    started = time.monotonic()
    mark = os.path.getsize(os.path.join(v.pg.node_directory(1), "log"))
    with v.without(1):
        time.sleep(AWAY)
        shutil.rmtree(v.pg.data(1))
    wait_refilled(v, mark)
    seconds = time.monotonic() - started
    with v.without(2):
        fresh = v.pg.mount_again("after-loss", node=3)
        trees.compare(v.source, os.path.join(fresh, "copy"))
        v.pg.umount(fresh)
    return "full redundancy after %.1f s" % seconds
