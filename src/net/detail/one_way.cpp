#include "net/rpc.h"

namespace claudefs::net {

runtime::Task<Result<void>> Client::send(std::string address, u16 method, Buffer body,
                                         runtime::Duration timeout) {
  co_await call(std::move(address), method, std::move(body), {}, timeout);
  co_return Result<void>();
}

}  // namespace claudefs::net
