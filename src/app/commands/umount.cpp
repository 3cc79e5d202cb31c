// `claudefs umount MNT`: also cleans a mount whose daemon died.
#include "access/fuse/mount.h"
#include "app/cli.h"
#include "app/text.h"

namespace claudefs::app {

void add_umount(Cli& cli) {
  auto where = std::make_shared<std::string>();
  CLI::App* command = add_command(cli, "umount", "unmount a ClaudeFS, also one whose daemon is dead",
                                  [where] { return access::fuse::unmount(absolute_path(*where)); });
  command->add_option("mountpoint", *where, "where it is mounted")->required();
}

}  // namespace claudefs::app
