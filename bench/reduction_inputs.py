"""What bench/reduction stores: five kinds of content, each made below a directory, always the same for a size on one machine.

Each function takes a directory, which it makes, and about how many bytes it shall hold.
"""
import os
import random
import shutil
import sqlite3
import tarfile

MIB = 1 << 20


def regular_files(roots, biggest=8 * MIB):
    """(path, length) of the plain files below, in a fixed order."""
    for root in roots:
        for directory, names, leaves in os.walk(root):
            names.sort()
            for leaf in sorted(leaves):
                path = os.path.join(directory, leaf)
                if not os.path.islink(path) and os.path.isfile(path) and 0 < os.path.getsize(path) <= biggest:
                    yield path, os.path.getsize(path)


def take(files, length):
    out, total = [], 0
    for path, size in files:
        if total + size > length:
            break
        out.append(path)
        total += size
    return out


def random_file(path, length, number):
    source = random.Random(number)
    with open(path, "wb") as f:
        for at in range(0, length, MIB):
            f.write(source.randbytes(min(MIB, length - at)))


def edited(content, source):
    """Some lines changed, some added, some gone."""
    lines = content.split(b"\n")
    for _ in range(1 + len(lines) // 200):
        at = source.randrange(len(lines))
        change = source.randrange(3)
        if change == 0:
            lines[at] = lines[at].upper() + b"  // %d" % source.randrange(10**6)
        elif change == 1:
            lines.insert(at, b"    call_number(%d);" % source.randrange(10**6))
        elif len(lines) > 1:
            del lines[at]
    return b"\n".join(lines)


def versions(directory, length):
    """Two versions of a source tree: /usr/include, and it again with one file of eight edited and one of fifty gone."""
    source = random.Random(1)
    for path in take(regular_files(["/usr/include"]), length // 2):
        with open(path, "rb") as f:
            content = f.read()
        fate = source.randrange(50)
        for version in ("v1", "v2"):
            if version == "v2" and fate == 0:
                continue
            where = os.path.join(directory, version, os.path.relpath(path, "/usr"))
            os.makedirs(os.path.dirname(where), exist_ok=True)
            with open(where, "wb") as f:
                f.write(edited(content, source) if version == "v2" and fate % 8 == 1 else content)


def images(directory, length):
    """Three root file systems as tar files, as built on three days: most files are in all of them, each with a time of its own."""
    os.makedirs(directory)
    files = take(regular_files(["/usr/bin", "/usr/lib/python3.11", "/usr/share/perl", "/usr/lib/gcc", "/usr/sbin"]), length * 2 // 5)
    source = random.Random(2)
    lots = [source.randrange(10) for _ in files]
    for day in range(3):
        with tarfile.open(os.path.join(directory, "image-%d.tar" % day), "w", format=tarfile.GNU_FORMAT) as tar:
            for path, lot in zip(files, lots):
                if lot < 7 or lot - 7 == day:
                    tar.add(path, filter=lambda info: info.replace(mtime=1700000000 + 86400 * day, deep=False))


def noise(directory, length):
    """Sixteen random files, and one that is all of them one behind the other."""
    os.makedirs(directory)
    each = length // 32
    with open(os.path.join(directory, "all"), "wb") as together:
        for n in range(16):
            path = os.path.join(directory, "%02d" % n)
            random_file(path, each, 300 + n)
            with open(path, "rb") as f:
                shutil.copyfileobj(f, together)


def database(directory, length):
    """An SQLite database on seven days: each day one row of fifty changes, one of two hundred goes, and some are added."""
    os.makedirs(directory)
    source = random.Random(4)
    words = ["".join(source.choice("etaoinshrdlu") for _ in range(source.randrange(2, 11))) for _ in range(3000)]

    def row(number):
        text = " ".join(source.choice(words) for _ in range(source.randrange(5, 40)))
        return number, "%s@example.org" % source.choice(words), 1_700_000_000 + source.randrange(10**7), text

    today = os.path.join(directory, "today")
    base = sqlite3.connect(today)
    base.execute("create table mail (number integer primary key, sender text, at integer, body text)")
    base.execute("create index by_sender on mail (sender, at)")
    count = 0
    while os.path.getsize(today) < length // 8:
        base.executemany("insert into mail values (?, ?, ?, ?)", (row(count + i) for i in range(5000)))
        base.commit()
        count += 5000
    for day in range(1, 8):
        shutil.copyfile(today, os.path.join(directory, "day-%d.db" % day))
        changed = [source.randrange(count) for _ in range(count // 50)]
        base.executemany("replace into mail values (?, ?, ?, ?)", (row(number) for number in changed))
        base.executemany("delete from mail where number = ?", ((source.randrange(count),) for _ in range(count // 200)))
        base.executemany("insert into mail values (?, ?, ?, ?)", (row(count + i) for i in range(count // 100)))
        base.commit()
        count += count // 100
    base.close()
    os.remove(today)


def media(directory, length):
    """Films: noise, as what is compressed well is, after a table of the lengths of its samples."""
    os.makedirs(directory)
    source = random.Random(5)
    for n in range(8):
        samples = [source.randrange(2000, 60000) for _ in range(length // 8 // 31000)]
        table = b"".join(size.to_bytes(4, "big") for size in samples)
        path = os.path.join(directory, "film-%d.mp4" % n)
        random_file(path + ".noise", sum(samples), 500 + n)
        with open(path, "wb") as f, open(path + ".noise", "rb") as content:
            f.write(b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2" + (len(table) + 20).to_bytes(4, "big") + b"stsz" + bytes(8) + table)
            shutil.copyfileobj(content, f)
        os.remove(path + ".noise")


INPUTS = {"versions": versions, "images": images, "noise": noise, "database": database, "media": media}
