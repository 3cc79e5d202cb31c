#include "sim/detail/sim_disk.h"

#include <algorithm>

#include "sim/detail/sim_file.h"

namespace claudefs::sim {

using namespace runtime;

namespace {

// Without doubled and trailing slashes; "" is the root.
std::string normal(const std::string& path) {
  std::string out;
  for (const char c : path)
    if (c != '/' || (!out.empty() && out.back() != '/')) out.push_back(c);
  while (!out.empty() && out.back() == '/') out.pop_back();
  return out;
}
std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

}  // namespace

std::set<std::string> SimDisk::directories_of(const std::string& from, const std::string& to) {
  std::set<std::string> out;
  if (!from.empty()) out.insert(parent_of(from));
  if (!to.empty()) out.insert(parent_of(to));
  return out;
}

void SimDisk::change_names(std::string from, std::string to, Inode created) {
  apply(names_, from, to, created);
  pending_.push_back({next_order(), std::move(from), std::move(to), std::move(created)});
  changed();
}

bool SimDisk::is_directory(const std::string& path) const {
  return path.empty() || directories_.contains(path);
}
bool SimDisk::has_entries(const std::string& path) const {
  return std::any_of(names_.begin(), names_.end(),
                     [&](const auto& e) { return parent_of(e.first) == path; }) ||
         std::any_of(directories_.begin(), directories_.end(),
                     [&](const auto& d) { return parent_of(d) == path; });
}

Task<Result<std::unique_ptr<File>>> SimDisk::open(std::string path, OpenMode mode) {
  co_await delay();
  const std::string name = normal(path);
  if (is_directory(name)) co_return fail(Errc::is_directory, "open " + path);
  if (!is_directory(parent_of(name))) co_return fail(Errc::not_found, "open " + path + ": no such directory");
  const bool present = names_.contains(name);
  const bool creates = mode == OpenMode::create || mode == OpenMode::create_new;
  if (!present && !creates) co_return fail(Errc::not_found, "open " + path);
  if (present && mode == OpenMode::create_new) co_return fail(Errc::exists, "open " + path);
  if (!present) change_names("", name, std::make_shared<SimInode>());
  const bool writable = mode != OpenMode::read_only;
  co_return std::unique_ptr<File>(new SimFile(node_, *this, names_[name], std::move(path), writable));
}

Task<Result<void>> SimDisk::remove(std::string path) {
  co_await delay();
  const std::string name = normal(path);
  if (directories_.contains(name)) {
    if (has_entries(name)) co_return fail(Errc::not_empty, "remove " + path);
    directories_.erase(name);
    changed();
    co_return Result<void>();
  }
  if (!names_.contains(name)) co_return fail(Errc::not_found, "remove " + path);
  change_names(name, "", nullptr);
  co_return Result<void>();
}

Task<Result<void>> SimDisk::rename(std::string from, std::string to) {
  co_await delay();
  const std::string source = normal(from);
  const std::string target = normal(to);
  if (is_directory(source))
    co_return fail(Errc::unsupported, "rename " + from + ": simulated disks rename files only");
  if (!names_.contains(source)) co_return fail(Errc::not_found, "rename " + from);
  if (!is_directory(parent_of(target)))
    co_return fail(Errc::not_found, "rename to " + to + ": no such directory");
  if (is_directory(target)) co_return fail(Errc::is_directory, "rename to " + to);
  if (source != target) change_names(source, target, nullptr);
  co_return Result<void>();
}

Task<Result<void>> SimDisk::make_directory(std::string path) {
  co_await delay();
  const std::string name = normal(path);
  for (std::size_t end = name.find('/');; end = name.find('/', end + 1)) {
    const std::string part = name.substr(0, end);
    if (names_.contains(part)) co_return fail(Errc::not_directory, "make the directory " + path);
    if (!part.empty()) directories_.insert(part);
    if (end == std::string::npos) break;
  }
  changed();
  co_return Result<void>();
}

Task<Result<std::vector<std::string>>> SimDisk::list(std::string path) {
  co_await delay();
  const std::string name = normal(path);
  if (!is_directory(name)) co_return fail(Errc::not_found, "list " + path);
  std::vector<std::string> out;
  const auto add = [&](const std::string& entry) {
    if (parent_of(entry) == name) out.push_back(name.empty() ? entry : entry.substr(name.size() + 1));
  };
  for (const auto& [entry, inode] : names_) add(entry);
  for (const std::string& entry : directories_) add(entry);
  std::sort(out.begin(), out.end());
  co_return out;
}

Task<Result<void>> SimDisk::sync_directory(std::string path) {
  co_await delay();
  const std::string name = normal(path);
  if (!is_directory(name)) co_return fail(Errc::not_found, "flush the directory " + path);
  if (failing_flushes_ != 0 || stream_.chance(node_.disk_faults().flush_error)) {
    if (failing_flushes_ != 0) --failing_flushes_;
    co_return fail(Errc::io_error, "flush the directory " + path + ": simulated fault");
  }
  if (lies_) co_return Result<void>();
  // A rename between two directories makes both durable up to it, as a journalling file system does.
  std::set<std::string> synced;
  synced.insert(name);
  std::vector<bool> chosen(pending_.size());
  for (std::size_t i = pending_.size(); i-- > 0;) {
    const NameChange& change = pending_[i];
    const bool from_in = !change.from.empty() && synced.contains(parent_of(change.from));
    const bool to_in = !change.to.empty() && synced.contains(parent_of(change.to));
    chosen[i] = from_in || to_in;
    if (!chosen[i]) continue;
    if (!change.from.empty()) synced.insert(parent_of(change.from));
    if (!change.to.empty()) synced.insert(parent_of(change.to));
  }
  std::vector<NameChange> left;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    if (chosen[i])
      apply(durable_names_, pending_[i].from, pending_[i].to, pending_[i].inode);
    else
      left.push_back(std::move(pending_[i]));
  }
  pending_ = std::move(left);
  changed();
  co_return Result<void>();
}

Task<Result<DiskSpace>> SimDisk::space(std::string) {
  co_await delay();
  DiskSpace out;
  out.total = node_.disk_faults().disk_bytes;
  out.free = out.total - std::min(out.total, used());
  co_return out;
}

u64 SimDisk::used() const {
  u64 sum = 0;
  for (const auto& [name, inode] : names_) sum += inode->content().size();
  return sum;
}

std::shared_ptr<SimInode> SimDisk::find(const std::string& path) const {
  const auto found = names_.find(normal(path));
  return found == names_.end() ? nullptr : found->second;
}

std::vector<std::string> SimDisk::files() const {
  std::vector<std::string> out;
  for (const auto& [name, inode] : names_) out.push_back(name);
  return out;
}

void SimDisk::crash() {
  const FaultOptions& faults = node_.disk_faults();
  // Within a directory the changes that survive are a prefix; directories differ in how far they came.
  std::set<std::string> cut;
  for (const NameChange& change : pending_) {
    const std::set<std::string> touched = directories_of(change.from, change.to);
    const bool after_cut =
        std::any_of(touched.begin(), touched.end(), [&](const auto& d) { return cut.contains(d); });
    if (after_cut || stream_.chance(faults.crash_loses_directory_operation))
      cut.insert(touched.begin(), touched.end());
    else
      apply(durable_names_, change.from, change.to, change.inode);
  }
  pending_.clear();
  names_ = durable_names_;
  for (auto& [name, inode] : names_) inode->crash(faults, stream_);
  failing_flushes_ = 0;
  lies_ = false;
}

DiskImage SimDisk::image() const {
  DiskImage out;
  out.directories_ = directories_;
  for (const auto& [name, inode] : durable_names_) out.names_[name] = inode->frozen();
  for (const NameChange& change : pending_)
    out.pending_.push_back(
        {change.order, change.from, change.to, change.inode == nullptr ? nullptr : change.inode->frozen()});
  return out;
}

void SimDisk::load(const DiskImage& image) {
  CFS_CHECK(image.unflushed() == 0);
  wipe("");
  directories_ = image.directories_;
  for (const auto& [name, inode] : image.names_) {
    durable_names_[name] = std::make_shared<SimInode>(*inode);
    order_ = std::max(order_, inode->latest());
  }
  names_ = durable_names_;
}

void SimDisk::wipe(const std::string& directory) {
  const auto is_below = [&](const std::string& path) {
    return directory.empty() || path == directory || path.starts_with(directory + "/");
  };
  std::erase_if(names_, [&](const auto& entry) { return is_below(entry.first); });
  std::erase_if(durable_names_, [&](const auto& entry) { return is_below(entry.first); });
  std::erase_if(directories_, is_below);
  std::erase_if(pending_, [&](const NameChange& change) {
    return is_below(change.from.empty() ? change.to : change.from);
  });
}

}  // namespace claudefs::sim
