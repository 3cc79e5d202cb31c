// The walk of an audit: every name, attribute and byte through one client, nobody else being there.
#include <fmt/format.h>

#include "simulator/workload.h"

namespace claudefs::simulator {

using meta::FileType;

namespace {
constexpr u64 kPiece = 256_KiB;
constexpr u64 kWord = 8;
}  // namespace

runtime::Task<void> Workload::audit(Client* client) {
  auditing_ = true;
  std::deque<InodeId> next{root_};
  while (!next.empty()) {
    Operation read = make(client, Verb::read_directory);
    read.inode = next.front();
    next.pop_front();
    const Outcome page = co_await list(client, read);
    for (const auto& [name, entry] : page.entries) co_await audit_entry(client, read.inode, name, &next);
  }
  co_await audit_volumes(client);
  auditing_ = false;
}

runtime::Task<void> Workload::audit_entry(Client* client, InodeId directory, std::string name,
                                          std::deque<InodeId>* next) {
  Operation lookup = make(client, Verb::lookup);
  lookup.inode = directory;
  lookup.name = name;
  const Outcome found = co_await perform(client, lookup);
  if (found.code != Errc::ok) co_return;
  Operation attributes = make(client, Verb::get_attributes);
  attributes.inode = found.inode;
  (void)co_await perform(client, attributes);
  if (found.type == FileType::symlink) {
    Operation target = make(client, Verb::read_link);
    target.inode = found.inode;
    (void)co_await perform(client, target);
  }
  Operation xattrs = make(client, Verb::list_xattrs);
  xattrs.inode = found.inode;
  const Outcome names = co_await perform(client, xattrs);
  for (const std::string& xattr : names.names) {
    Operation get = make(client, Verb::get_xattr);
    get.inode = found.inode;
    get.name = xattr;
    (void)co_await perform(client, get);
  }
  if (found.type == FileType::directory) next->push_back(found.inode);
  if (found.type == FileType::regular) {
    const Result<client::Inode> inode = co_await stat(client, found.inode).result();
    co_await audit_content(client, found.inode, inode ? inode->size : 0);
  }
}

runtime::Task<void> Workload::audit_content(Client* client, InodeId inode, u64 size) {
  const Result<OpenFile> file = co_await open(client, inode, false).result();
  if (!file) {
    violation(fmt::format("the audit cannot open file {:#x}: {}", inode, file.error().to_string()));
    co_return;
  }
  const u64 end = std::max(content_.extent_of(inode), (size + kWord - 1) / kWord * kWord);
  for (u64 at = 0; at < end; at += kPiece) {
    const Result<void> done = co_await read(client, *file, at, std::min(kPiece, end - at)).result();
    if (!done)
      violation(
          fmt::format("the audit cannot read file {:#x} at {}: {}", inode, at, done.error().to_string()));
  }
  co_await release(client, *file);
}

}  // namespace claudefs::simulator
