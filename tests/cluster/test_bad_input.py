"""Every mistake gets one clear line that names the thing and the mend, a non-zero exit, and nothing is lost."""
import bad_commands
import bad_disks
from bad_cluster import Victim

# name, function, time limit in seconds
TABLE = [
    ("flags", bad_commands.flags, 60),
    ("sizes", bad_commands.sizes, 30),
    ("toml", bad_commands.toml, 60),
    ("playground", bad_commands.playground, 60),
    ("mount_points", bad_commands.mount_points, 60),
    ("no_fuse", bad_commands.no_fuse, 60),
    ("dead_daemon", bad_commands.dead_daemon, 90),
    ("terminated", bad_commands.terminated, 60),
    ("unreachable", bad_commands.unreachable, 120),
    ("port_taken", bad_commands.port_taken, 60),
    ("locked", bad_disks.locked, 60),
    ("other_node", bad_disks.other_node, 60),
    ("other_cluster", bad_disks.other_cluster, 60),
    ("other_files", bad_disks.other_files, 60),
    ("read_only", bad_disks.read_only, 60),
    ("full_disk", bad_disks.full_disk, 90),
    ("damaged_superblock", bad_disks.damaged_superblock, 120),
    ("unknown_version", bad_disks.unknown_version, 60),
    ("few_descriptors", bad_commands.few_descriptors, 120),
    ("no_quorum", bad_commands.no_quorum, 400),
    ("damaged_log", bad_disks.damaged_log, 240),
    ("lost_disk", bad_disks.lost_disk, 240),
]


def run(context):
    victim = Victim(context)
    for name, function, limit in TABLE:
        if context.only and name not in context.only:
            continue
        context.steps.run(name, function, victim, limit=limit)
        if context.steps.results[-1]["status"] == "failed":
            victim.pg.up()  # the next one starts from a cluster that runs
    context.steps.run("nothing_lost", victim.nothing_lost, limit=240)
    return "%d mistakes" % (len(context.steps.results) - 1)
