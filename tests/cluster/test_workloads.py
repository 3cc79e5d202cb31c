"""Programs and corners of POSIX on the mount, each for itself. With --on DIR the same on a plain local directory."""
import os
import shutil

import trees
import wl_apps
import wl_posix
from lib import Playground

# name, function, time limit in seconds
TABLE = [
    ("sparse", wl_posix.sparse, 60),
    ("append", wl_posix.append, 60),
    ("locks", wl_posix.locks, 60),
    ("mmap", wl_posix.mapped, 60),
    ("unlinked_open", wl_posix.unlinked_open, 30),
    ("names", wl_posix.names, 30),
    ("deep", wl_posix.deep, 60),
    ("links", wl_posix.links, 30),
    ("directories", wl_posix.directories, 30),
    ("attributes", wl_posix.attributes, 30),
    ("permissions", wl_posix.permissions, 30),
    ("exclusive", wl_posix.exclusive, 60),
    ("replaced_while_read", wl_posix.replaced_while_read, 60),
    ("crowded", wl_posix.crowded, 120),
    ("written_in_parts", wl_posix.written_in_parts, 90),
    ("copied_in_kernel", wl_posix.copied_in_kernel, 30),
    ("rename_patterns", wl_apps.rename_patterns, 60),
    ("interrupted_copy", wl_apps.interrupted_copy, 60),
    ("tar", wl_apps.tar, 120),
    ("git", wl_apps.git, 180),
    ("sqlite", wl_apps.sqlite, 90),
    ("build", wl_apps.build, 180),
    ("fio", wl_apps.fio, 240),
    ("postgresql", wl_apps.postgresql, 300),
]


def run(context):
    where = context.on
    if not where:
        pg = Playground(context.work).up()
        where = pg.mount
    context.tree = os.path.join(context.work, "tree")
    trees.sample(context.tree, context.pick(300, 1200, 8000))
    factor = {"quick": 1, "default": 1, "full": 8}[context.size]
    for name, function, limit in TABLE:
        if context.only and name not in context.only:
            continue
        directory = os.path.join(where, "%s.%d" % (name, os.getpid()))
        scratch = os.path.join(context.work, "scratch-" + name)
        os.makedirs(directory)
        os.makedirs(scratch)
        context.steps.run(name, function, directory, scratch, context, limit=limit * factor)
        if context.on:
            shutil.rmtree(directory)
    if not context.on:
        pg.wait_whole(60)
    return "%d steps on %s" % (len(context.steps.results), "a plain directory" if context.on else "the mount")
