// Goal: what is framed comes out again, however the stream is cut; what is damaged never comes out.
// Method: draw frames and cuts from a seed, compare with the frames that went in; flip every bit of a frame.
#include "net/frame.h"

#include <gtest/gtest.h>

#include <random>

#include "net/detail/frame_reader.h"
#include "net/detail/send_queue.h"

namespace claudefs::net {
namespace {

using detail::FrameReader;
using detail::SendQueue;

Buffer random_bytes(std::mt19937_64& rng, std::size_t size) {
  Buffer out = Buffer::allocate(size);
  for (std::size_t i = 0; i < size; ++i) out.data()[i] = static_cast<std::byte>(rng());
  return out;
}
std::size_t draw_size(std::mt19937_64& rng) {
  switch (rng() % 5) {
    case 0:
      return 0;
    case 1:
      return rng() % 100;
    case 2:
      return rng() % 6000;
    case 3:
      return 16384 - 20 + rng() % 40;
    default:
      return rng() % 200000;
  }
}
std::string flat(const std::vector<Buffer>& pieces) {
  std::string out;
  for (const Buffer& piece : pieces) out.append(piece.text());
  return out;
}

TEST(Frame, AnyCutGivesTheSameFrames) {
  for (u64 seed = 0; seed < 60; ++seed) {
    std::mt19937_64 rng(seed);
    std::vector<Frame> sent;
    SendQueue queue;
    std::string stream;
    for (int i = 0; i < 40; ++i) {
      Frame frame;
      frame.header.type = static_cast<FrameType>(1 + rng() % 6);
      frame.header.call = rng();
      frame.header.method = static_cast<u16>(rng());
      frame.header.deadline_ms = static_cast<u32>(rng());
      frame.body = random_bytes(rng, draw_size(rng));
      frame.payload = random_bytes(rng, draw_size(rng));
      queue.push(frame.header, frame.body, frame.payload);
      if (rng() % 3 == 0) stream += flat(queue.take());
      sent.push_back(std::move(frame));
    }
    stream += flat(queue.take());

    FrameReader reader(1u << 20);
    std::vector<Frame> got;
    std::string_view rest = stream;
    const std::size_t most = seed % 3 == 0 ? 50 : seed % 3 == 1 ? 3000 : 300000;
    for (;;) {
      auto frame = reader.next();
      ASSERT_TRUE(frame.has_value()) << frame.error().to_string();
      if (*frame) {
        got.push_back(**frame);
        continue;
      }
      if (rest.empty()) break;
      MutableByteSpan space = reader.space();
      ASSERT_FALSE(space.empty());
      const std::size_t part = std::min({space.size(), rest.size(), 1 + rng() % most});
      std::memcpy(space.data(), rest.data(), part);
      reader.filled(part);
      rest.remove_prefix(part);
    }
    ASSERT_EQ(got.size(), sent.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].header.type, sent[i].header.type);
      EXPECT_EQ(got[i].header.call, sent[i].header.call);
      EXPECT_EQ(got[i].header.method, sent[i].header.method);
      EXPECT_EQ(got[i].header.deadline_ms, sent[i].header.deadline_ms);
      EXPECT_EQ(got[i].body, sent[i].body);
      EXPECT_EQ(got[i].payload, sent[i].payload);
    }
  }
}

TEST(Frame, EveryFlippedBitIsFound) {
  SendQueue queue;
  queue.push({.type = FrameType::request, .call = 7, .method = 3}, Buffer::copy_of("body"),
             Buffer::copy_of("payload"));
  const std::string good = flat(queue.take());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    FrameReader reader(1u << 20);
    std::memcpy(reader.space().data(), bad.data(), bad.size());
    reader.filled(bad.size());
    EXPECT_FALSE(reader.next().has_value()) << "bit " << bit;
  }
}

TEST(Frame, AContentAboveTheLimitIsRefusedBeforeItIsRead) {
  FrameHeader header{.type = FrameType::request, .body_bytes = 0xffffffff, .payload_bytes = 0xffffffff};
  EXPECT_EQ(decode_header(encode_header(header), 1u << 20).error().code, Errc::too_big);
  header = {.body_bytes = 600, .payload_bytes = 424};
  EXPECT_TRUE(decode_header(encode_header(header), 1024).has_value());
  EXPECT_EQ(decode_header(encode_header(header), 1023).error().code, Errc::too_big);
}

TEST(Frame, TheStoredFormIsThatOfTheFormatPage) {
  const FrameHeaderBytes bytes = encode_header({.type = FrameType::reply,
                                                .call = 0x0102030405060708,
                                                .method = 0x0a0b,
                                                .deadline_ms = 0x11121314,
                                                .body_bytes = 0x21222324,
                                                .payload_bytes = 0x31323334,
                                                .content_crc = 0x41424344});
  std::string hex;
  for (std::size_t i = 0; i < 36; ++i) hex += fmt::format("{:02x}", static_cast<u8>(bytes[i]));
  EXPECT_EQ(hex,
            "43465352"
            "01"
            "03"
            "0000"
            "0807060504030201"
            "0b0a"
            "0000"
            "14131211"
            "24232221"
            "34333231"
            "44434241");
}

}  // namespace
}  // namespace claudefs::net
