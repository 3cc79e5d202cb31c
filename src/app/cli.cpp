#include "app/cli.h"

#include "app/config_file.h"

namespace claudefs::app {

CLI::App* add_command(Cli& cli, const std::string& name, const std::string& description, Run run) {
  CLI::App* command = cli.root.add_subcommand(name, description);
  auto config = std::make_shared<std::string>();
  command
      ->add_option("--config", *config, "read options from this TOML file: the names are those of the flags")
      ->envname("CLAUDEFS_CONFIG");
  command->final_callback([&cli, command, config, run = std::move(run)] {
    if (!config->empty()) apply_config_file(*command, *config);
    cli.run = run;
  });
  return command;
}

}  // namespace claudefs::app
