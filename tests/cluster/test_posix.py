"""The conformance suite and the differential fuzzer on two mounts of one cluster; the suite on a local directory, too."""
import os
import re
import sys

from lib import ROOT, Playground, check, must, note, tail, call

POSIX = os.path.join(ROOT, "tests", "posix")


def suite(*arguments, limit):
    done = call([sys.executable, "-B", os.path.join(POSIX, "run")] + list(arguments), limit)
    check(done.code == 0, "tests/posix/run %s:\n%s%s" % (" ".join(arguments), tail(done.out, 6000), tail(done.err)))
    return done.out.strip().splitlines()[-1]


def run(context):
    local = os.path.join(context.work, "local")
    os.mkdir(local)
    note("on a local directory: " + suite(local, limit=120))
    pg = Playground(context.work).up()
    second = pg.mount_again("second", node=2)
    passed = suite(pg.mount, second, limit=300)
    note("on two mounts: " + passed)
    done = must([sys.executable, "-B", os.path.join(POSIX, "fuzz"), pg.mount, local, "--second", second, "--operations", str(context.pick(4000, 20000, 1000000)),
                 "--seconds", str(context.pick(60, 200, 7200))], context.pick(200, 400, 9000))
    figures = re.search(r"\d+ operations.*", done.out).group(0)
    return "%s; fuzzer: %s" % (passed, figures)
