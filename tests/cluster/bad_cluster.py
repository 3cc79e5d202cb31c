"""What the steps of bad_input share: a cluster with something in it, and the judgement of an error message."""
import os
import re
import resource
import shutil
import socket
import subprocess
import time

import trees
from lib import (IS_ROOT, Failure, Playground, Skip, call, check, claudefs, clean_environment, kill_group, tail, wait_for)

# What no message to a person may hold.
UGLY = re.compile(r"terminate called|Segmentation|Assertion|CFS_CHECK|check failed|AddressSanitizer|std::|bad_alloc|Traceback", re.I)


def one_line(done, *words, code=None):
    """The command failed, with one line on standard error that holds every word (regular expressions, any case)."""
    said = done.err
    what = "`%s`" % " ".join(done.argv[1:])
    check(done.code != 0, "%s succeeds:\n%s%s" % (what, tail(done.out), tail(said)))
    check(done.code > 0, "%s dies by signal %d:\n%s" % (what, -done.code, tail(said)))
    if code is not None:
        check(done.code == code, "%s: exit %d, should be %d" % (what, done.code, code))
    check(not UGLY.search(said + done.out), "%s: not a message for people:\n%s" % (what, tail(said + done.out)))
    lines = [line for line in said.splitlines() if line.startswith("claudefs: ")]
    check(len(lines) == 1, "%s: %d lines begin `claudefs: `, should be one:\n%s" % (what, len(lines), tail(said)))
    for word in words:
        check(re.search(word, lines[0], re.I), "%s: the message does not say /%s/:\n%s" % (what, word, lines[0]))
    return lines[0]


class Victim:
    """A playground of three with files in it; the steps do things to node 1."""

    def __init__(self, context):
        self.context = context
        self.work = context.work
        self.env = clean_environment(self.work)
        self.source = os.path.join(self.work, "source")
        trees.sample(self.source, context.pick(200, 600, 3000))
        self.pg = Playground(self.work).up()
        trees.copy(self.source, os.path.join(self.pg.mount, "copy"))
        self.pg.remount()  # all of it is in the cluster

    def claudefs(self, *arguments, limit=40, prefix=(), preexec=None):
        return call(list(prefix) + [claudefs()] + list(arguments), limit, env=self.env, cwd="/", preexec=preexec)

    def server(self, node, data, cluster=None, **more):
        """Runs a server that should refuse to start. One that does start is killed, and that is a Failure."""
        try:
            return self.claudefs("server", "--cluster", cluster or self.pg.cluster_file, "--node", str(node), "--data", data,
                                 "--metrics", "off", "--size", "1GiB", limit=15, **more)
        except Failure as failure:
            raise Failure("the server does not refuse: %s" % failure)

    def without(self, node):
        """Node stopped while inside."""
        return Stopped(self.pg, node)

    def nothing_lost(self):
        self.pg.up()
        self.pg.wait_whole(90)
        trees.compare(self.source, os.path.join(self.pg.mount, "copy"))
        fresh = self.pg.mount_again("fresh")
        try:
            trees.compare(self.source, os.path.join(fresh, "copy"))
        finally:
            self.pg.umount(fresh)


class Stopped:
    def __init__(self, pg, node):
        self.pg, self.node = pg, node

    def __enter__(self):
        self.pg.kill(self.node)
        return self

    def __exit__(self, *_):
        self.pg.start(self.node)


def flip(path, at, count=1):
    with open(path, "r+b") as f:
        f.seek(at)
        old = f.read(count)
        f.seek(at)
        f.write(bytes(b ^ 0x55 for b in old))


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
