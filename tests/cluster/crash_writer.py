"""usage: crash_writer.py DIRECTORY JOURNAL SEED. Writes self-describing records in DIRECTORY until it is killed or the file
system is gone. JOURNAL (outside of it) gets a line `try ...` before and `ack ...` after each durable step; check_directory()
holds the two against each other afterwards."""
import hashlib
import os
import random
import sys

PAGE = 4096
SLOTS = 8
SLOT_PAGES = 4


def record(seed, kind, number, size):
    """Bytes that only this record can have."""
    head = b"%s:%s:%d:%d:" % (seed.encode(), kind.encode(), number, size)
    stream = hashlib.shake_128(head).digest(max(0, size - len(head) - 1))
    return (head + stream)[:size - 1] + b"\n"


def append_size(seed, number):
    return 200 + random.Random("%s:%d" % (seed, number)).randrange(20000)


class Writer:
    def __init__(self, directory, journal, seed):
        self.directory, self.seed = directory, seed
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.makedirs(directory, exist_ok=True)
        self.appended = os.open(self.path("appended"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        self.slots = os.open(self.path("slots"), os.O_CREAT | os.O_RDWR, 0o644)
        os.fsync(self.appended)
        os.fsync(self.slots)
        self.sync_directory()
        parent = os.open(os.path.dirname(directory), os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)
        self.note("ack", "made", 0)

    def path(self, name):
        return os.path.join(self.directory, name)

    def note(self, word, what, number, more=0):
        os.write(self.journal, b"%s %s %d %d\n" % (word.encode(), what.encode(), number, more))

    def sync_directory(self):
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)

    def append(self, number):
        self.note("try", "append", number)
        os.write(self.appended, record(self.seed, "append", number, append_size(self.seed, number)))
        os.fsync(self.appended)
        self.note("ack", "append", number)

    def overwrite(self, number):
        slot = number % SLOTS
        self.note("try", "slot", slot, number)
        pages = b"".join(record(self.seed, "slot%d.%d" % (slot, p), number, PAGE) for p in range(SLOT_PAGES))
        os.pwrite(self.slots, pages, slot * SLOT_PAGES * PAGE)
        os.fdatasync(self.slots)
        self.note("ack", "slot", slot, number)

    def replace(self, number):
        """The careful editor: write aside, fsync, rename over, fsync the directory."""
        self.note("try", "replace", number)
        fd = os.open(self.path("target.new"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
        os.write(fd, record(self.seed, "replace", number, append_size(self.seed, number) * 3))
        os.fsync(fd)
        os.close(fd)
        os.rename(self.path("target.new"), self.path("target"))
        self.sync_directory()
        self.note("ack", "replace", number)

    def create(self, number):
        self.note("try", "create", number)
        fd = os.open(self.path("file-%d" % number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        os.write(fd, record(self.seed, "create", number, 3000))
        os.fsync(fd)
        os.close(fd)
        self.sync_directory()
        self.note("ack", "create", number)

    def remove(self, number):
        self.note("try", "remove", number)
        os.unlink(self.path("file-%d" % number))
        self.sync_directory()
        self.note("ack", "remove", number)


def main():
    writer = Writer(*sys.argv[1:4])
    number = 0
    while True:
        number += 1
        writer.append(number)
        writer.overwrite(number)
        writer.replace(number)
        writer.create(number)
        if number % 3 == 0:
            writer.remove(number - 1)


# --- the other side: what must be there ---

def read_journal(journal):
    """{what: {"try": [(number, more)], "ack": [...]}}"""
    out = {}
    with open(journal) as f:
        for line in f:
            word, what, number, more = line.split()
            out.setdefault(what, {"try": [], "ack": []})[word].append((int(number), int(more)))
    return out


def last(entries, default=0):
    return entries[-1][0] if entries else default


def check_directory(directory, journal, seed):
    """Every difference between what was acknowledged and what is there. Gives (errors, acknowledged steps)."""
    told = read_journal(journal)
    errors = []
    acknowledged = sum(len(v["ack"]) for v in told.values())
    if "made" not in told:
        return [], 0
    get = lambda what: told.get(what, {"try": [], "ack": []})  # noqa: E731

    def content(name):
        try:
            with open(os.path.join(directory, name), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    check_appended(errors, content("appended"), seed, last(get("append")["ack"]), last(get("append")["try"]))
    check_slots(errors, content("slots"), seed, get("slot"))
    check_replaced(errors, content("target"), seed, last(get("replace")["ack"]), last(get("replace")["try"]))
    gone, going = {n for n, _ in get("remove")["ack"]}, {n for n, _ in get("remove")["try"]}
    for number, _ in get("create")["ack"]:
        there = content("file-%d" % number)
        if number in gone and there is not None:
            errors.append("file-%d was removed and synced, and is back" % number)
        if number not in going and there != record(seed, "create", number, 3000):
            errors.append("file-%d: %s" % (number, "is missing" if there is None else "other content, %d bytes" % len(there)))
    return ["%s: %s" % (directory, e) for e in errors], acknowledged


def check_appended(errors, there, seed, acked, tried):
    if there is None:
        errors.append("appended: is missing")
        return
    at = 0
    for number in range(1, tried + 1):
        want = record(seed, "append", number, append_size(seed, number))
        got = there[at:at + len(want)]
        at += len(got)
        if got == want:
            continue
        if number <= acked:
            errors.append("appended: record %d of %d acknowledged is %s at offset %d" % (
                number, acked, "cut" if want.startswith(got) else "wrong", at - len(got)))
            return
        if not want.startswith(got):
            errors.append("appended: the unsynced record %d is no prefix of what was written" % number)
        break
    if at != len(there):
        errors.append("appended: %d bytes that nobody wrote" % (len(there) - at))


def check_slots(errors, there, seed, told):
    if there is None:
        errors.append("slots: is missing")
        return
    for slot in range(SLOTS):
        acked = max([v for s, v in told["ack"] if s == slot], default=None)
        tried = {v for s, v in told["try"] if s == slot and (acked is None or v >= acked)}
        for page in range(SLOT_PAGES):
            offset = (slot * SLOT_PAGES + page) * PAGE
            got = there[offset:offset + PAGE]
            allowed = [record(seed, "slot%d.%d" % (slot, page), v, PAGE) for v in sorted(tried)]
            if got in allowed or (acked is None and not got.strip(b"\0")):
                continue
            errors.append("slots: page %d of slot %d is neither version %s nor a later one; it begins %r" % (page, slot, acked, got[:30]))


def check_replaced(errors, there, seed, acked, tried):
    allowed = [record(seed, "replace", n, append_size(seed, n) * 3) for n in range(max(1, acked), tried + 1)]
    if there in allowed or (acked == 0 and there is None):
        return
    errors.append("target: %s; version %d was acknowledged" % ("is missing" if there is None else "begins %r" % there[:30], acked))


if __name__ == "__main__":
    main()
