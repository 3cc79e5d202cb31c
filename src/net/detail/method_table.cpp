#include "base/check.h"
#include "net/rpc.h"

namespace claudefs::net {

void MethodTable::add(u16 method, Handler handler) {
  const bool fresh = handlers_.emplace(method, std::move(handler)).second;
  CFS_CHECK(fresh);
}

const MethodTable::Handler* MethodTable::find(u16 method) const {
  auto at = handlers_.find(method);
  return at == handlers_.end() ? nullptr : &at->second;
}

}  // namespace claudefs::net
