#include "admin/describe.h"

namespace claudefs::admin {

std::vector<Feature> server_features() {
  return {
      {"io_uring", true, "network and disk go through one ring a reactor"},
      {"rdma", false, "this build has the TCP transport only"},
      {"tls", false, "this build authenticates peers by the cluster secret and does not encrypt the wire"},
      {"nvme_passthrough", false, "data lies in a directory, not on an NVMe character device"},
      {"fdp", false, "needs nvme_passthrough"},
      {"zns", false, "needs nvme_passthrough"},
  };
}

std::vector<Feature> client_features() {
  return {
      {"fuse_passthrough", false, "this build has no NVMe cache on the client"},
      {"fuse_io_uring", false, "this build uses the classic /dev/fuse channel"},
  };
}

static runtime::Task<Result<net::TypedReply<NodeDescription>>> describe(AskDevices devices) {
  net::TypedReply<NodeDescription> reply;
  reply.message.version = CLAUDEFS_VERSION;
  reply.message.features = server_features();
  reply.message.devices = co_await devices();
  co_return reply;
}

void register_describe(net::MethodTable& methods, AskDevices devices) {
  methods.on<DescribeNode>(
      [devices = std::move(devices)](DescribeNode, net::Request) { return describe(devices); });
}

}  // namespace claudefs::admin
