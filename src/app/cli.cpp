#include "app/cli.h"

#include "app/config_file.h"

namespace claudefs::app {

CLI::App* add_command(Cli& cli, const std::string& name, const std::string& description, Run run) {
  CLI::App* command = cli.root.add_subcommand(name, description);
  command->set_config("--config", "", "read options from this TOML file: the names are those of the flags")
      ->envname("CLAUDEFS_CONFIG");
  command->config_formatter(toml_config());
  command->allow_config_extras(CLI::config_extras_mode::error);
  command->final_callback([&cli, run = std::move(run)] { cli.run = run; });
  return command;
}

}  // namespace claudefs::app
