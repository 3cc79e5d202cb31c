#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <fmt/format.h>

#include "admin/metrics.h"
#include "base/log.h"
#include "runtime/scope.h"

namespace claudefs::admin {
namespace {
namespace http = boost::beast::http;
constexpr std::size_t kConnectionsMax = 32;
constexpr std::size_t kHeaderBytesMax = 8192;

std::string response(std::string_view status, std::string_view body) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      status, body.size(), body);
}

class Impl final : public MetricsServer {
 public:
  Impl(runtime::Env& env, std::unique_ptr<runtime::Listener> listener,
       std::function<void(MetricSet&)> collect)
      : listener_(std::move(listener)), collect_(std::move(collect)), scope_(env.executor()) {
    scope_.spawn(accept_loop());
  }
  std::string address() const override { return listener_->address(); }
  runtime::Task<void> stop() override {
    listener_->close();
    for (runtime::Stream* stream : open_) stream->close();
    co_await scope_.join();
  }

 private:
  runtime::Task<void> accept_loop() {
    for (;;) {
      Result<std::unique_ptr<runtime::Stream>> stream = co_await listener_->accept();
      if (!stream) co_return;
      if (open_.size() >= kConnectionsMax) continue;
      scope_.spawn(serve(std::move(*stream)));
    }
  }
  runtime::Task<void> serve(std::unique_ptr<runtime::Stream> stream) {
    open_.push_back(stream.get());
    const std::string answer = co_await read_and_answer(*stream);
    if (!answer.empty()) {
      std::vector<Buffer> pieces;
      pieces.push_back(Buffer::copy_of(answer));
      (void)co_await stream->write(std::move(pieces));
    }
    std::erase(open_, stream.get());
    stream->close();
  }
  runtime::Task<std::string> read_and_answer(runtime::Stream& stream) {
    http::request_parser<http::empty_body> parser;
    parser.header_limit(kHeaderBytesMax);
    std::string head;
    Buffer chunk = Buffer::allocate(2048);
    while (!parser.is_header_done()) {
      const Result<std::size_t> got = co_await stream.read(chunk.mutable_span());
      if (!got || *got == 0 || head.size() > kHeaderBytesMax) co_return std::string();
      head.append(as_text(chunk.span().first(*got)));
      boost::beast::error_code error;
      const std::size_t used = parser.put(boost::asio::buffer(head), error);
      head.erase(0, used);
      if (error && error != http::error::need_more) co_return response("400 Bad Request", "bad request\n");
    }
    co_return answer(parser.get().method(), std::string(parser.get().target()));
  }
  std::string answer(http::verb verb, const std::string& target) {
    if (verb != http::verb::get) return response("405 Method Not Allowed", "only GET\n");
    if (target == "/healthz") return response("200 OK", "ok\n");
    if (target != "/metrics") return response("404 Not Found", "try /metrics\n");
    MetricSet set;
    collect_(set);
    return response("200 OK", set.to_text());
  }

  std::unique_ptr<runtime::Listener> listener_;
  std::function<void(MetricSet&)> collect_;
  std::vector<runtime::Stream*> open_;
  runtime::Scope scope_;
};
}  // namespace

Result<std::unique_ptr<MetricsServer>> MetricsServer::start(runtime::Env& env, std::string address,
                                                            std::function<void(MetricSet&)> collect) {
  TRY_ASSIGN(std::unique_ptr<runtime::Listener> listener, env.network().listen(std::move(address)));
  return std::unique_ptr<MetricsServer>(std::make_unique<Impl>(env, std::move(listener), std::move(collect)));
}

}  // namespace claudefs::admin
