"""usage: prober.py DIRECTORY. Until SIGTERM: every 20 ms one small operation, over 16 directories (and so over most
shards); then prints how many there were, the longest time between the ends of two, and every error."""
import json
import os
import signal
import sys
import time

PERIOD = 0.020


def operations(base):
    """Endless: each call of the generator is one operation on the file system."""
    directories = [os.path.join(base, "d%02d" % i) for i in range(16)]
    for d in directories:
        os.makedirs(d, exist_ok=True)
    round_number = 0
    while True:
        round_number += 1
        content = b"%d\n" % round_number
        for d in directories:
            path = os.path.join(d, "probe")
            fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
            try:
                os.write(fd, content)
                os.fsync(fd)
            finally:
                os.close(fd)
            yield
            with open(path, "rb") as f:
                if f.read() != content:
                    raise OSError("%s does not read as written" % path)
            yield
            os.rename(path, path + ".old")
            yield


def main():
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    base = sys.argv[1]
    longest, longest_at, count, errors = 0.0, 0.0, 0, []
    ops = operations(base)
    next(ops)
    print("ready", flush=True)
    begin = last = time.monotonic()
    while not stopped:
        try:
            next(ops)
        except OSError as error:
            errors.append("after %.1f s: %s" % (time.monotonic() - begin, error))
            ops = operations(base)
            if len(errors) > 20:
                break
            time.sleep(PERIOD)
            continue
        except StopIteration:
            break
        now = time.monotonic()
        count += 1
        if now - last > longest:
            longest, longest_at = now - last, last - begin
        last = now
        time.sleep(PERIOD)
    print(json.dumps({"operations": count, "longest_gap": longest, "at": longest_at, "errors": errors}), flush=True)


main()
