// Goal: no body of any operation does more than give an error, and a failed one leaves the name space
// readable. Method: the input is a list of (kind, length, body); they run on one shard in memory that begins
// with a small tree.
#include <cstdint>

#include "meta/hlc.h"
#include "meta/operations.h"
#include "meta/shard_service.h"
#include "store/memory_kv.h"

namespace {

using namespace claudefs;
using namespace claudefs::meta;

class Target {
 public:
  Target() {
    register_namespace(table_);
    machine_ = std::move(*ShardMachine::open(kv_, table_, ShardId{0}, 1));
    run(0x013b, {});
    run(Create::kKind, wire::encode(Create{kRootInode, "f"}));
    run(MakeDirectory::kKind, wire::encode(MakeDirectory{kRootInode, "d"}));
  }
  void run(u16 kind, Buffer body) {
    if (table_.find_query(kind) != nullptr) {
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
  OperationTable table_;
  std::unique_ptr<ShardMachine> machine_;
  u64 index_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Target target;
  wire::Reader in(ByteSpan(reinterpret_cast<const std::byte*>(data), size));
  while (in.left() != 0) {
    const u16 kind = static_cast<u16>(0x0100 + in.byte() % 0x80);
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
