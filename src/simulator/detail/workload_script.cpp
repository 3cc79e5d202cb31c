// The workload's scripts, and what carries the oracles' knowledge into another world.
#include <fmt/format.h>

#include "simulator/workload.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;
using meta::FileType;
using What = Step::What;

namespace {
constexpr u64 kWord = 8;

std::pair<std::string, std::string> split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}
}  // namespace

Workload::Knowledge Workload::knowledge() const {
  Knowledge out{linearizer_, content_, {}, last_number_, last_write_};
  for (const auto& [number, what] : under_way_) out.under_way.push_back(number);
  return out;
}

void Workload::adopt(const Knowledge& known, Process died) {
  linearizer_ = known.linearizer;
  content_ = known.content;
  last_number_ = known.last_number;
  last_write_ = known.last_write;
  for (const u64 number : known.under_way) linearizer_.lost(number);
  content_.lost(died);
}

runtime::Task<void> Workload::perform_script(Client* client, Script script) {
  for (const Step& step : script) co_await perform_step(client, step);
}

// The root's id for "".
runtime::Task<InodeId> Workload::find(Client* client, std::string path) {
  if (path.empty()) co_return root_;
  const auto [parent, name] = split(path);
  Operation lookup = make(client, Verb::lookup);
  lookup.inode = co_await find(client, parent);
  lookup.name = name;
  if (lookup.inode == InodeId{}) co_return InodeId{};
  const Outcome found = co_await perform(client, lookup);
  co_return found.code == Errc::ok ? found.inode : InodeId{};
}

runtime::Task<Result<Workload::OpenFile>> Workload::opened(Client* client, std::string path) {
  const InodeId inode = co_await find(client, path);
  if (inode == InodeId{}) co_return fail(Errc::not_found, path);
  for (const OpenFile& file : open_files_[client->number])
    if (file.inode == inode) co_return file;
  const OpenFile file = co_await open(client, inode, true);
  open_files_[client->number].push_back(file);
  co_return file;
}

// A step whose file an earlier one has removed does nothing.
runtime::Task<void> Workload::perform_step(Client* client, Step step) {
  if (step.what >= What::write) co_return co_await change_content(client, step);
  if (step.what == What::wait) co_return co_await client->machine->executor().sleep(12s);
  constexpr Verb kVerbs[] = {Verb::create,   Verb::make_directory, Verb::remove_directory, Verb::create,
                             Verb::link,     Verb::unlink,         Verb::rename,           Verb::rename,
                             Verb::set_mode, Verb::set_xattr,      Verb::remove_xattr};
  Operation op = make(client, kVerbs[static_cast<std::size_t>(step.what)]);
  const auto [parent, name] = split(step.path);
  const bool of_inode = op.verb >= Verb::set_mode || op.verb == Verb::link;
  op.inode = co_await find(client, of_inode ? step.path : parent);
  op.name = name;
  op.mode = 0644;
  if (!step.other.empty()) {
    const auto [other_parent, other_name] = split(step.other);
    op.new_parent = co_await find(client, other_parent);
    op.new_name = other_name;
    if (op.new_parent == InodeId{}) co_return;
  }
  if (op.inode == InodeId{}) co_return;
  if (step.what == What::symlink) {
    op.type = FileType::symlink;
    op.mode = 0777;
  }
  if (step.what == What::exchange) op.rename_mode = meta::RenameMode::exchange;
  if (op.verb == Verb::set_mode) op.mode = 0600;
  if (op.verb == Verb::link) op.name.clear();
  if (op.verb >= Verb::set_xattr) op.name = "user.x";
  if (step.what == What::symlink || step.what == What::set_xattr) op.value = fmt::format("v{}", op.number);
  (void)co_await perform(client, std::move(op));
}

runtime::Task<void> Workload::change_content(Client* client, Step step) {
  if (step.what == What::truncate) {
    const InodeId inode = co_await find(client, step.path);
    if (inode != InodeId{}) co_await truncate(client, inode, step.offset);
    co_return;
  }
  const Result<OpenFile> file = co_await opened(client, step.path).result();
  if (!file) co_return;
  if (step.what == What::write) {
    const u64 content = step.content != 0 ? step.content : ++last_write_;
    co_await write(client, *file, content, step.offset, step.length);
  } else if (step.what == What::punch_hole) {
    co_await make_hole(client, *file, client::AllocateMode::punch_hole, step.offset, step.length);
  } else if (step.what == What::zero_range) {
    co_await make_hole(client, *file, client::AllocateMode::zero_range, step.offset, step.length);
  } else if (step.what == What::reserve) {
    client::AllocateRequest request;
    request.keep_size = true;
    request.offset = step.offset;
    request.length = step.length;
    (void)co_await client->kernel->allocate(file->handle, file->inode, request).result();
  } else if (step.what == What::copy) {
    const Result<OpenFile> to = co_await opened(client, step.other).result();
    if (to) co_await copy(client, *file, *to, step.offset, step.length);
  } else if (step.what == What::sync) {
    (void)co_await sync(client, *file, false).result();
  } else {
    std::erase_if(open_files_[client->number],
                  [&](const OpenFile& open) { return open.handle == file->handle; });
    co_await release(client, *file);
  }
}

// To the same place of another file, where the words mean the same.
runtime::Task<void> Workload::copy(Client* client, OpenFile from, OpenFile to, u64 offset, u64 length) {
  const Process by = process(*client);
  const Result<Buffer> got = co_await client->kernel->read(from.handle, from.inode, offset, length).result();
  if (!got) co_return;
  std::vector<u64> events;
  u64 begin = 0;
  u64 writer = 0;
  for (u64 at = 0; at + kWord <= got->size(); at += kWord) {
    u64 word = 0;
    std::memcpy(&word, got->data() + at, kWord);
    const u64 next = ContentOracle::writer_of(word);
    if (at != 0 && next != writer)
      events.push_back(
          content_.called(to.inode, writer, offset + std::exchange(begin, at), offset + at, by, now()));
    writer = next;
  }
  events.push_back(content_.called(to.inode, writer, offset + begin, offset + got->size(), by, now()));
  note(fmt::format("copy    client {} file {:#x} [{}, {}) to {:#x}", client->number, from.inode, offset,
                   offset + got->size(), to.inode));
  client::CopyRequest request;
  request.from = from.handle;
  request.to = to.handle;
  request.from_offset = request.to_offset = offset;
  request.length = length;
  const Result<u64> done = co_await client->files().copy_range(request).result();
  if (!done) {
    content_.failed(to.inode, by);
    co_return;
  }
  for (const u64 event : events) content_.answered(event, now());
}

}  // namespace claudefs::simulator
