"""Mistakes on the command line, in configuration, ports and mount points; and a cluster that does not answer."""
import os
import resource
import signal
import socket
import subprocess
import sys
import time

from bad_cluster import UGLY, one_line
from lib import IS_ROOT, Failure, Skip, call, check, claudefs, kill_group, living, must, tail, wait_for


def flags(v):
    one_line(v.claudefs("server", "--frobnicate"), "frobnicate", "help", code=2)
    one_line(v.claudefs("conquer"), "no command .conquer", "help", code=2)
    one_line(v.claudefs(), "subcommand|command", code=2)
    one_line(v.claudefs("playground", "up", "--nodes", "0", "--dir", v.work + "/p"), "nodes", code=2)
    one_line(v.claudefs("playground", "up", "--nodes", "many", "--dir", v.work + "/p"), "nodes", code=2)
    one_line(v.claudefs("server", "--log-level", "loud"), "log-level", "debug", code=2)
    one_line(v.claudefs("mount", "nohost", v.work), "nohost", "HOST:PORT")
    for verb in (["server"], ["mount"], ["umount"], ["status"], ["bench"], ["playground"], ["playground", "up"], ["cluster", "init"], []):
        done = v.claudefs(*verb, "--help")
        check(done.code == 0 and len(done.out) > 100 and not done.err, "--help of %s: exit %d\n%s" % (verb, done.code, done.err))
    check(v.claudefs("--version").out.startswith("claudefs "), "--version says %r" % v.claudefs("--version").out)
    for shell in ("bash", "zsh"):
        check("claudefs" in v.claudefs("completion", shell).out, "no completion for %s" % shell)


def sizes(v):
    for text in ("12parsecs", "-5G", "lots", "1GiBx"):
        one_line(v.claudefs("playground", "up", "--dir", v.work + "/p", "--size=" + text), text.replace("-", "."), "10GiB|GiB")
    one_line(v.claudefs("playground", "up", "--dir", v.work + "/p", "--size", "1MiB"), "too little", "--size")
    check(not os.path.exists(v.work + "/p"), "a refused playground left its directory")


def toml(v):
    config = os.path.join(v.work, "config.toml")
    with open(config, "w") as f:
        f.write('# fine\ndata = "/x"\nnode = = 3\n')
    one_line(v.claudefs("server", "--config", config), "line 3")
    with open(config, "w") as f:
        f.write('frobnicate = 1\n')
    one_line(v.claudefs("server", "--config", config), "frobnicate")
    one_line(v.claudefs("server", "--config", v.work + "/missing.toml"), "missing.toml")
    cluster = os.path.join(v.work, "broken.toml")
    with open(v.pg.cluster_file) as f:
        lines = f.read().splitlines()
    with open(cluster, "w") as f:
        f.write("\n".join(lines[:2] + ["this is no toml"] + lines[2:]))
    one_line(v.server(1, v.work + "/d", cluster=cluster), "broken.toml", "line 3")
    one_line(v.server(1, v.work + "/d", cluster=v.work + "/nowhere.toml"), "nowhere.toml", "cluster init|--cluster")
    one_line(v.server(9, v.work + "/d"), "node", "9")
    check(not os.path.exists(v.work + "/d"), "a server that was refused made its data directory")


def playground(v):
    photos = os.path.join(v.work, "album")
    os.makedirs(photos)
    open(os.path.join(photos, "picture"), "w").close()
    one_line(v.claudefs("playground", "up", "--dir", photos, "--mount", "none"), "album", "empty|other files")
    check(os.listdir(photos) == ["picture"], "a refused directory now holds %s" % os.listdir(photos))
    for verb in ("status", "down", "destroy"):
        one_line(v.claudefs("playground", verb, "--dir", v.work + "/nothing"), "nothing", "playground up")
    for verb in ("kill", "start"):
        one_line(v.claudefs("playground", verb, "9", "--dir", v.pg.directory), "9", "1 to 3")
    again = v.claudefs("playground", "up", "--dir", v.pg.directory, "--mount", v.pg.mount)
    check(again.code == 0 and "nothing changed" in again.out, "a second up changes something: %s%s" % (again.out, again.err))


def port_taken(v):
    port = int(v.pg.address(1).rsplit(":", 1)[1])
    with v.without(1):
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        try:
            one_line(v.server(1, v.pg.data(1)), str(port), "in use|taken|another")
        finally:
            holder.close()


def mount_points(v):
    at = v.pg.address(1)
    mount = lambda where, *more: v.claudefs("mount", at, where, "--cluster", v.pg.cluster_file, *more)  # noqa: E731
    one_line(mount(v.work + "/missing"), "missing", "mkdir")
    full = os.path.join(v.work, "full")
    os.makedirs(full)
    open(os.path.join(full, "file"), "w").close()
    one_line(mount(full), "full", "not empty")
    one_line(mount(os.path.join(full, "file")), "file", "not a directory")
    one_line(mount(v.pg.mount), os.path.basename(v.pg.mount), "already|mounted", "umount")
    one_line(v.claudefs("umount", full), "full", "mounted")
    one_line(mount(v.work, "-o", "sparkling"), "sparkling")
    check(os.path.exists(os.path.join(v.pg.mount, "copy")), "the mount is gone after a refused second one")


def no_fuse(v):
    if not IS_ROOT:
        raise Skip("needs root, for a /dev without fuse")
    script = "mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9 && exec \"$@\""
    prefix = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if call(prefix + ["true"], 20).code != 0:
        raise Skip("no mount namespaces here")
    where = os.path.join(v.work, "no-fuse")
    os.makedirs(where, exist_ok=True)
    one_line(v.claudefs("mount", v.pg.address(1), where, "--cluster", v.pg.cluster_file, prefix=prefix), "/dev/fuse", "modprobe|module|load")


def dead_daemon(v):
    """A killed daemon leaves a mount that one command cleans."""
    where = v.pg.mount_again("dead")
    os.kill(living(os.path.join(v.pg.directory, "dead.pid")), signal.SIGKILL)
    wait_for(lambda: call(["ls", where], 10).code != 0, 20, "a mount without its daemon fails at once")
    one_line(v.claudefs("mount", v.pg.address(1), where, "--cluster", v.pg.cluster_file), "dead", "umount")
    must([claudefs(), "umount", where], 20, env=v.env)
    check(call(["ls", where], 10).code == 0, "the mount point is not usable after umount")
    v.pg.mount_again("dead")
    v.pg.umount(where)


def terminated(v):
    """SIGTERM to a mount's daemon is a clean unmount, with all that was written."""
    where = v.pg.mount_again("term")
    with open(os.path.join(where, "just written"), "w") as f:
        f.write("before the end")
    pid = living(os.path.join(v.pg.directory, "term.pid"))
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not os.path.exists("/proc/%d" % pid), 20, "the daemon ends after SIGTERM")
    check(not os.path.ismount(where), "SIGTERM leaves the mount")
    time.sleep(1.1)
    check(open(os.path.join(v.pg.mount, "just written")).read() == "before the end", "what was closed before SIGTERM is lost")
    os.unlink(os.path.join(v.pg.mount, "just written"))


def unreachable(v):
    other = os.path.join(v.work, "away.toml")
    if not os.path.exists(other):
        must([claudefs(), "cluster", "init", "--name", "away", "--node", "1=127.0.0.1:31987", "--out", other], 20, env=v.env)
    where = os.path.join(v.work, "away")
    os.makedirs(where, exist_ok=True)
    started = time.monotonic()
    one_line(v.claudefs("mount", "127.0.0.1:31987", where, "--cluster", other, "--timeout", "4", limit=30), "31987|cluster|node")
    took = time.monotonic() - started
    check(3 < took < 15, "mount with --timeout 4 gave up after %.1f s" % took)
    check(not os.path.ismount(where), "a failed mount left a mount")
    one_line(v.claudefs("status", "--cluster", other, limit=60), "answer|reach")
    # Somebody who does not know the cluster's secret.
    liar = os.path.join(v.work, "liar.toml")
    with open(v.pg.cluster_file) as f, open(liar, "w") as g:
        g.write("".join('secret = "%s"\n' % ("ab" * 32) if line.strip().startswith("secret") else line for line in f))
    one_line(v.claudefs("mount", v.pg.address(1), where, "--cluster", liar, "--timeout", "4", limit=40), "secret|refuse|cluster")
    check(not os.path.ismount(where), "a mount without the secret was made")


def no_quorum(v):
    """With two of three away operations wait, however long, and say so, can be interrupted, and go on when the quorum is back; a mount that
    is told to end meanwhile ends."""
    opens = "import os,sys\nfd=os.open(sys.argv[1],os.O_CREAT|os.O_WRONLY)\nos.write(fd,b'waited')\nos.fsync(fd)\nos.close(fd)\n"
    # Opens its file before, and then writes more than what may wait in memory.
    streams = ("import os,sys\nfd=os.open(sys.argv[1],os.O_CREAT|os.O_WRONLY)\nprint('open',flush=True)\nsys.stdin.readline()\n"
               "for _ in range(40): os.write(fd,os.urandom(1<<20))\nos.fsync(fd)\nos.close(fd)\n")
    running = []

    def program(script, path):
        # -S -E and a restored SIGINT: the signal has to end it as it would any program.
        running.append(subprocess.Popen([sys.executable, "-S", "-E", "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True,
                                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)))
        return running[-1]

    def goes_on(process, what):
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            raise Failure("%s does not go on within 60 s of the quorum's return" % what)
        check(process.returncode == 0, "%s failed: %s" % (what, tail(process.stderr.read())))

    ending = v.pg.mount_again("ending")
    try:
        stream = program(streams, os.path.join(v.pg.mount, "streams"))
        check(stream.stdout.readline(), "the file for the stream cannot be made")
        v.pg.kill(1)
        v.pg.kill(2)
        time.sleep(1)
        stream.stdin.write(b"\n")
        stream.stdin.flush()
        stopped, waits = program(opens, os.path.join(v.pg.mount, "interrupted")), program(opens, os.path.join(v.pg.mount, "waits"))
        program(opens, os.path.join(ending, "never"))
        time.sleep(v.context.pick(5, 130, 130))
        for process in running:
            check(process.poll() is None, "a write without a quorum does not wait: exit %s, %s" % (process.returncode, process.stderr.read(500)
                                                                                                if process.returncode else ""))
        status = v.pg.status(limit=60)
        check(status["cluster"]["state"] == "unavailable", "status says %s without a quorum" % status["cluster"]["state"])
        check(any("majority" in a or "leader" in a or "quorum" in a for a in status["alerts"]), "no alert says it: %s" % status["alerts"])
        started = time.monotonic()
        stopped.send_signal(signal.SIGINT)
        try:
            stopped.wait(10)
        except subprocess.TimeoutExpired:
            raise Failure("SIGINT does not end a program that waits for the cluster")
        took = time.monotonic() - started
        daemon = living(os.path.join(v.pg.directory, "ending.pid"))
        os.kill(daemon, signal.SIGTERM)
        wait_for(lambda: not os.path.exists("/proc/%d" % daemon), 90, "a mount without a cluster ends after SIGTERM")
        v.pg.start(1)
        goes_on(waits, "the waiting write")
        goes_on(stream, "the waiting stream")
        check(open(os.path.join(v.pg.mount, "waits")).read() == "waited", "what was written reads otherwise")
        check(os.path.getsize(os.path.join(v.pg.mount, "streams")) == 40 << 20, "the stream lacks bytes")
    finally:
        for process in running:
            kill_group(process)
        v.pg.up()
    return "interrupted after %.1f s" % took


def few_descriptors(v):
    """A server with 64 descriptors: it says what is wrong, or does with them; the others go on."""
    log = os.path.join(v.work, "few.log")
    v.pg.kill(1)
    command = [claudefs(), "server", "--cluster", v.pg.cluster_file, "--node", "1", "--data", v.pg.data(1), "--metrics", "off", "--size", "1GiB"]
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=v.env, start_new_session=True,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    connections = []
    try:
        host, port = v.pg.address(1).rsplit(":", 1)
        for _ in range(100):
            try:
                connections.append(socket.create_connection((host, int(port)), 0.3))
            except OSError:
                time.sleep(0.05)
        with open(os.path.join(v.pg.mount, "meanwhile"), "w") as f:
            f.write("x" * 100000)
            f.flush()
            os.fsync(f.fileno())
        said = open(log).read()
        code = process.poll()
        check(not UGLY.search(said), "not a message for people:\n%s" % tail(said))
        check(code is None or code > 0, "the server with few descriptors dies by signal %s:\n%s" % (code, tail(said)))
        if code is not None or len(connections) > 60:
            check("descriptor" in said or "open files" in said, "no line of its log says that descriptors are short:\n%s" % tail(said))
        for n in (2, 3):
            check(v.pg.node_pid(n), "node %d ended too" % n)
    finally:
        for c in connections:
            c.close()
        kill_group(process)
        process.wait(20)
        v.pg.up()
    os.unlink(os.path.join(v.pg.mount, "meanwhile"))
    return "it %s" % ("ended" if code is not None else "served on")
