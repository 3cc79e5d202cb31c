#include "store/detail/recent_rows.h"

#include <algorithm>

#include "base/check.h"

namespace claudefs::store::detail {
namespace {

class MergedIterator final : public KvIterator {
 public:
  MergedIterator(std::shared_ptr<const RecentRows::Rows> recent, std::unique_ptr<KvIterator> below)
      : recent_(std::move(recent)), below_(std::move(below)), at_(recent_->end()), end_(at_) {}
  void seek(std::string_view key, std::string_view end) override {
    at_ = recent_->lower_bound(key);
    end_ = end.empty() ? recent_->end() : recent_->lower_bound(std::max(key, end));
    below_->seek(key, end);
    settle();
  }
  bool valid() const override { return on_recent_ || below_->valid(); }
  void next() override {
    if (on_recent_)
      step_recent();
    else
      below_->next();
    settle();
  }
  std::string_view key() const override { return on_recent_ ? std::string_view(at_->first) : below_->key(); }
  std::string_view value() const override {
    return on_recent_ ? std::string_view(*at_->second) : below_->value();
  }
  Result<void> status() const override { return below_->status(); }

 private:
  // Past the recent row, and past the one below that it hides.
  void step_recent() {
    if (below_->valid() && below_->key() == at_->first) below_->next();
    ++at_;
  }
  // Chooses which of the two comes next; a removal hides a row and is none.
  void settle() {
    for (;;) {
      // After a failed scan below nothing may be shown: it would look like a whole one with rows missing.
      const bool below_ended = !below_->valid();
      on_recent_ = at_ != end_ && (below_ended ? below_->status().has_value() : at_->first <= below_->key());
      if (!on_recent_ || at_->second) return;
      step_recent();
    }
  }

  std::shared_ptr<const RecentRows::Rows> recent_;
  std::unique_ptr<KvIterator> below_;
  RecentRows::Rows::const_iterator at_;
  RecentRows::Rows::const_iterator end_;
  bool on_recent_ = false;
};

}  // namespace

void RecentRows::apply(const KvBatch& batch) {
  CFS_CHECK(!watched());
  for (const KvBatch::Op& op : batch.ops()) {
    CFS_CHECK(op.kind != KvBatch::Op::Kind::remove_range);
    const auto [row, is_new] = rows_->try_emplace(op.key);
    bytes_ += is_new ? op.key.size() : 0;
    bytes_ -= row->second ? row->second->size() : 0;
    if (op.kind == KvBatch::Op::Kind::put) {
      row->second = op.value;
      bytes_ += op.value.size();
    } else {
      row->second.reset();
    }
  }
}

const std::optional<std::string>* RecentRows::find(std::string_view key) const {
  const auto row = rows_->find(key);
  return row == rows_->end() ? nullptr : &row->second;
}

void RecentRows::clear() {
  if (watched())
    rows_ = std::make_shared<Rows>();
  else
    rows_->clear();
  bytes_ = 0;
}

std::unique_ptr<KvIterator> merge(std::shared_ptr<const RecentRows::Rows> recent,
                                  std::unique_ptr<KvIterator> below) {
  return std::make_unique<MergedIterator>(std::move(recent), std::move(below));
}

}  // namespace claudefs::store::detail
