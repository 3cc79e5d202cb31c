// Goal: no body of any operation does more than give an error, and a failed one leaves the name space
// readable. Method: the input is a list of (kind, length, body); they run on one shard in memory that begins
// with a small tree.
#include <cstdint>

#include "meta/commands.h"
#include "meta/hlc.h"
#include "meta/operations.h"
#include "meta/shard_service.h"
#include "store/memory_kv.h"

namespace {

using namespace claudefs;
using namespace claudefs::meta;

const OperationTable& operations() {
  static const OperationTable table = [] {
    OperationTable out;
    register_namespace(out);
    return out;
  }();
  return table;
}

class Target {
 public:
  Target() = default;
  explicit Target(store::MemoryKv kv) : kv_(std::move(kv)) {}
  static const store::MemoryKv& small_tree() {
    static const store::MemoryKv kv = [] {
      Target made;
      made.run(Format::kKind, wire::encode(Format()));
      made.run(Create::kKind, wire::encode(Create{kRootInode, "f"}));
      made.run(MakeDirectory::kKind, wire::encode(MakeDirectory{kRootInode, "d"}));
      return made.kv_;
    }();
    return kv;
  }
  void run(u16 kind, Buffer body) {
    if (operations().find_query(kind) != nullptr) {
      (void)machine_->query(kind, body);
      return;
    }
    const CommandEntry entry{kind, Hlc{++index_ << 16}, {}, std::move(body)};
    machine_->apply({{LogIndex{index_}, Term{1}, wire::encode(entry)}});
  }
  void check() {
    const Result<Buffer> root =
        machine_->query(ReadDirectory::kKind, wire::encode(ReadDirectory{kRootInode}));
    CFS_CHECK(root.has_value() || root.error().code == Errc::busy);
  }

 private:
  store::MemoryKv kv_;
  std::unique_ptr<ShardMachine> machine_ = std::move(*ShardMachine::open(kv_, operations(), ShardId{0}, 1));
  u64 index_ = machine_->applied().value;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Target target(Target::small_tree());
  wire::Reader in(ByteSpan(reinterpret_cast<const std::byte*>(data), size));
  while (in.left() != 0) {
    const u16 kind = static_cast<u16>(0x0100 + in.byte());
    const std::size_t length = std::min<std::size_t>(in.byte(), in.left());
    // The envelope is made good, or the fuzzer would have to guess its length.
    wire::Writer body;
    body.byte(1);
    body.byte(1);
    body.fixed32(static_cast<u32>(length));
    body.raw(in.raw(length));
    target.run(kind, std::move(body).finish());
  }
  target.check();
  return 0;
}
