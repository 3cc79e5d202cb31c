"""What every cluster test needs: commands with time limits, playgrounds, waiting, results of steps.

Nothing here waits without a limit. A test that fails raises Failure; one that cannot run here raises Skip.
"""
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
IS_ROOT = os.geteuid() == 0


def claudefs():
    return os.environ.get("CLAUDEFS_BIN") or os.path.join(ROOT, "build", "release", "bin", "claudefs")


class Failure(Exception):
    """What was tested does not hold."""


class Skip(Exception):
    """Cannot be tested on this machine; the text says what is missing."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def note(text):
    print("    " + text, flush=True)


def mib(number):
    return "%.1f MiB" % (number / 2**20)


def clean_environment(work):
    """Programs find neither the user's settings nor another playground."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "CLAUDEFS_", "PG"))}
    env.update(HOME=work, LC_ALL="C", GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0", TZ="UTC")
    return env


# --- commands ---------------------------------------------------------------------------------------------------------

class Done:
    def __init__(self, argv, code, out, err, seconds):
        self.argv, self.code, self.out, self.err, self.seconds = argv, code, out, err, seconds


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def call(argv, limit=60, cwd=None, env=None, data=None, preexec=None):
    """Runs a command in its own process group to its end; gives its code and output. Failure when it takes too long."""
    started = time.monotonic()
    argv = [str(a) for a in argv]

    def before():
        os.setsid()
        if preexec:
            preexec()

    process = subprocess.Popen(argv, stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=cwd, env=env, preexec_fn=before)
    try:
        out, err = process.communicate(data, timeout=limit)
    except subprocess.TimeoutExpired:
        kill_group(process)
        try:
            out, err = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            out, err = b"", b"(cannot be killed: it hangs in the kernel)"
        raise Failure("%s: not done after %.0f s\n%s%s" % (" ".join(argv), limit, tail(out), tail(err)))
    return Done(argv, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), time.monotonic() - started)


def must(argv, limit=60, **more):
    """As call(), and Failure when the command fails."""
    done = call(argv, limit, **more)
    if done.code != 0:
        raise Failure("%s: exit %d\n%s%s" % (" ".join(done.argv), done.code, tail(done.out), tail(done.err)))
    return done


def tail(text, count=2000):
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return text[-count:]


def wait_for(predicate, limit, what, every=0.2):
    """The first true value of predicate(); Failure after `limit` seconds, with what it said last if it raised Failure."""
    end = time.monotonic() + limit
    last = ""
    while True:
        try:
            value = predicate()
            if value:
                return value
        except Failure as failure:
            last = ": %s" % failure
        if time.monotonic() > end:
            raise Failure("%s: not within %.0f s%s" % (what, limit, last))
        time.sleep(every)


# --- steps: parts of a scenario that pass or fail for themselves ------------------------------------------------------

class Steps:
    """Runs functions each in a process of its own with a time limit, so that one that fails or hangs spoils no other."""

    def __init__(self):
        self.results = []

    def run(self, name, function, *args, limit=60):
        started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            os.setsid()
            os.write(write_end, json.dumps(outcome_of(function, *args)).encode())
            os._exit(0)
        os.close(write_end)
        said, alive = read_until_closed(read_end, pid, started + limit)
        try:
            outcome = json.loads(said)
        except ValueError:
            outcome = {"status": "failed", "error": "not done after %.0f s" % limit if alive else "its process died"}
        outcome.update(name=name, seconds=time.monotonic() - started)
        self.results.append(outcome)
        print_outcome(outcome)
        return outcome


def read_until_closed(read_end, pid, end):
    said = b""
    alive = True
    while time.monotonic() < end:
        if not select.select([read_end], [], [], 0.2)[0]:
            continue
        chunk = os.read(read_end, 65536)
        if not chunk:
            alive = False
            break
        said += chunk
    os.close(read_end)
    try:
        os.killpg(pid, signal.SIGKILL)  # also what the step left running
    except ProcessLookupError:
        pass
    for _ in range(50):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return said, alive
        time.sleep(0.1)
    raise Failure("a step hangs in the kernel and cannot be killed; its last words: %s" % tail(said))


def outcome_of(function, *args):
    try:
        figures = function(*args)
        return {"status": "passed", "figures": figures or ""}
    except Skip as skip:
        return {"status": "skipped", "error": str(skip)}
    except Failure as failure:
        return {"status": "failed", "error": str(failure)}
    except Exception:
        return {"status": "failed", "error": traceback.format_exc()}


def print_outcome(outcome):
    text = outcome.get("figures") or outcome.get("error", "")
    head = "  %-7s %-28s %6.1f s  " % (outcome["status"], outcome["name"], outcome["seconds"])
    print(head + text.strip().replace("\n", "\n" + " " * 12), flush=True)


# --- playgrounds ------------------------------------------------------------------------------------------------------

class Playground:
    """A cluster of its own: servers, loopback sockets, a FUSE mount, all below one directory."""

    made = []

    # No trash unless asked for: scenarios expect space back at once.
    def __init__(self, work, name="pg", nodes=3, size=None, mount=True, trash_hours=0, fast_size=None, reduce_minutes=None):
        self.directory = os.path.join(work, name)
        self.mount = os.path.join(work, name + ".mnt") if mount else None
        self.nodes = nodes
        self.size = size
        self.fast_size = fast_size
        self.trash_hours = trash_hours
        self.reduce_minutes = reduce_minutes
        self.work = work
        Playground.made.append(self)

    def verb(self, *arguments, limit=120):
        return must([claudefs(), "playground", arguments[0], "--dir", self.directory] + list(arguments[1:]), limit,
                    env=clean_environment(self.work))

    def up(self):
        more = ["--nodes", str(self.nodes), "--mount", self.mount or "none", "--trash-hours", str(self.trash_hours)]
        if self.size:
            more += ["--size", self.size]
        if self.fast_size:
            more += ["--fast-size", self.fast_size]
        if self.reduce_minutes:
            more += ["--reduce-minutes", str(self.reduce_minutes)]
        self.verb("up", *more)
        if self.mount:
            check(os.path.ismount(self.mount), "playground up is done, but %s is no mount point" % self.mount)
        return self

    def down(self):
        self.verb("down")
        if self.mount:
            check(not os.path.ismount(self.mount), "playground down is done, but %s is still mounted" % self.mount)
        for n in range(1, self.nodes + 1):
            check(self.node_pid(n) is None, "playground down is done, but node %d still runs" % n)

    def kill(self, node):
        self.verb("kill", str(node))

    def start(self, node):
        self.verb("start", str(node))

    def status(self, limit=30):
        done = self.verb("status", "--json", limit=limit)
        try:
            return json.loads(done.out)
        except ValueError:
            raise Failure("status --json printed no JSON:\n%s" % tail(done.out))

    # Paths and processes

    @property
    def cluster_file(self):
        return os.path.join(self.directory, "cluster.toml")

    def node_directory(self, node):
        return os.path.join(self.directory, "node-%d" % node)

    def data(self, node):
        return os.path.join(self.node_directory(node), "data")

    def fast(self, node):
        return os.path.join(self.node_directory(node), "fast")

    def address(self, node):
        found = [line.split('"')[1] for line in open(self.cluster_file) if line.strip().startswith("address")]
        return found[node - 1]

    def node_pid(self, node):
        return living(os.path.join(self.node_directory(node), "pid"))

    def client_pid(self):
        return living(os.path.join(self.directory, "client.pid"))

    def kill_everything(self):
        """kill -9 of the client and all servers, as close together as a loop can."""
        pids = [p for p in [self.client_pid()] + [self.node_pid(n) for n in range(1, self.nodes + 1)] if p]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            wait_for(lambda: not os.path.exists("/proc/%d" % pid) or state_of(pid) == "Z", 20, "end of process %d" % pid, 0.02)
        return len(pids)

    # Mounts

    def remount(self):
        must([claudefs(), "umount", self.mount], 60, env=clean_environment(self.work))
        check(not os.path.ismount(self.mount), "umount is done, but %s is still mounted" % self.mount)
        wait_for(lambda: self.client_pid() is None, 20, "end of the client after umount")
        self.up()

    def mount_again(self, name="second", node=1, volume="default"):
        """Another mount of the same cluster; gives its directory. Unmounted with everything else at the end."""
        where = os.path.join(self.work, name + ".mnt")
        os.makedirs(where, exist_ok=True)
        must([claudefs(), "mount", self.address(node) + "/" + volume, where, "--cluster", self.cluster_file, "--log-file",
              os.path.join(self.directory, name + ".log"), "--pid-file", os.path.join(self.directory, name + ".pid")],
             60, env=clean_environment(self.work))
        check(os.path.ismount(where), "claudefs mount is done, but %s is no mount point" % where)
        return where

    def umount(self, where):
        must([claudefs(), "umount", where], 60, env=clean_environment(self.work))

    # Health

    def is_whole(self):
        status = self.status()
        r = status["redundancy"]
        if status["cluster"]["state"] == "healthy" and r["degraded"] == 0 and r["at_risk"] == 0:
            return status
        raise Failure("state %s, redundancy %s, alerts %s" % (status["cluster"]["state"], r, status["alerts"]))

    def wait_whole(self, limit=90):
        """Full redundancy, every node there. Gives (seconds, status)."""
        started = time.monotonic()
        status = wait_for(self.is_whole, limit, "full redundancy", 0.5)
        return time.monotonic() - started, status

    def wait_settled(self, limit=60):
        """Until what is stored has stopped moving: packing and reclaiming are done. Gives the status."""
        seen = []

        def settled():
            status = self.is_whole()
            seen.append((status["space"]["logical"], status["space"]["stored"]))
            return status if len(seen) >= 3 and seen[-1] == seen[-2] == seen[-3] else None

        return wait_for(settled, limit, "space figures that stand still", 1.5)

    def fsck(self):
        """Nothing is wrong. Gives what was counted."""
        done = call([claudefs(), "fsck", self.address(1), "--cluster", self.cluster_file, "--json"], 180,
                    env=clean_environment(self.work))
        check(done.code == 0, "claudefs fsck: exit %d\n%s%s" % (done.code, tail(done.out, 4000), tail(done.err)))
        told = json.loads(done.out)
        check(told["found"] == 0 and told["inodes"] > 0, "claudefs fsck: %s" % tail(done.out, 4000))
        note("fsck: nothing wrong in %d inodes, %d extents, %d chunks, %d segments; %.1f s" % (
            told["inodes"], told["extents"], told["chunks"], told["segments"], done.seconds))
        return told

    def destroy(self):
        self.verb("destroy")
        check(not os.path.exists(self.directory), "playground destroy left %s" % self.directory)
        Playground.made.remove(self)


def state_of(pid):
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "gone"


def living(pid_file):
    """The pid in the file when that process lives."""
    try:
        pid = int(open(pid_file).read().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if state_of(pid) not in ("Z", "X", "gone") else None


# --- the prober -------------------------------------------------------------------------------------------------------

class Prober:
    """Does a small operation on a mount every 20 ms, in a process of its own, and knows the longest time without one."""

    def __init__(self, directory):
        os.makedirs(directory, exist_ok=True)
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "prober.py"), directory], stdout=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        ready = select.select([self.process.stdout], [], [], 30)[0]
        check(ready and self.process.stdout.readline() == b"ready\n", "the prober does not get its first operations done in 30 s")

    def stop(self):
        """{operations, longest_gap (s), errors[]}"""
        self.process.send_signal(signal.SIGTERM)
        try:
            out, _ = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            kill_group(self.process)
            raise Failure("the prober's last operation hangs for more than 60 s")
        return json.loads(out)
