// `claudefs completion bash|zsh`: a completion script made from the options themselves.
#include <fmt/format.h>

#include "app/cli.h"

namespace claudefs::app {
namespace {

void words_of(const CLI::App* app, std::string path, std::string& cases) {
  std::string words;
  for (const CLI::App* sub : app->get_subcommands(nullptr)) words += sub->get_name() + " ";
  for (const CLI::Option* option : app->get_options())
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
  cases += fmt::format("    '{}') words='{}' ;;\n", path, words);
  for (const CLI::App* sub : app->get_subcommands(nullptr))
    words_of(sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), cases);
}

std::string bash_script(const CLI::App& root) {
  std::string cases;
  words_of(&root, "", cases);
  return "# claudefs completion for bash: source it, or put it into /etc/bash_completion.d\n"
         "_claudefs() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path='' words='' word\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case \"$word\" in -*) ;; *) path=\"${path:+$path }$word\" ;; esac\n"
         "  done\n"
         "  case \"$path\" in\n" +
         cases +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F _claudefs claudefs cfs\n";
}
}  // namespace

void add_completion(Cli& cli) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = add_command(cli, "completion", "print a completion script for a shell", [&cli, shell] {
    std::string script = bash_script(cli.root);
    if (*shell == "zsh")
      script = "#compdef claudefs cfs\nautoload -U +X bashcompinit && bashcompinit\n" + script;
    std::fputs(script.c_str(), stdout);
    return Result<void>();
  });
  command->add_option("shell", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
}

}  // namespace claudefs::app
