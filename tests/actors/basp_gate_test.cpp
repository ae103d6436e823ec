#include "basp_gate.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace troupe {
namespace {

using side = basp_gate::side;

/// A header as it travels: operation, two unused bytes, flags, payload length (big-endian), then the rest.
std::string header(std::uint8_t operation, std::uint32_t length) {
  std::string h(basp_gate::header_size, '\0');
  h[0] = static_cast<char>(operation);
  for (int i = 0; i < 4; ++i)
    h[4 + i] = static_cast<char>(length >> (24 - 8 * i));
  return h;
}

bool greet(basp_gate& gate, std::uint8_t operation = 1) {
  return gate.admit(header(operation, 40)) && gate.admit(std::string(40, 'x'));
}

TEST(basp_gate, lets_a_client_greet_select_its_connection_send_and_beat) {
  basp_gate gate{side::accepted};
  EXPECT_TRUE(greet(gate));
  EXPECT_TRUE(greet(gate));
  EXPECT_TRUE(gate.admit(header(2, 100)));
  EXPECT_TRUE(gate.admit(std::string(100, 'x')));
  EXPECT_TRUE(gate.admit(header(6, 0)));
  EXPECT_TRUE(gate.admit(header(4, basp_gate::most)));
}

TEST(basp_gate, lets_a_server_greet_us) {
  basp_gate gate{side::connected};
  EXPECT_TRUE(greet(gate, 0));
  EXPECT_TRUE(gate.admit(header(5, 30)));
}

TEST(basp_gate, refuses_a_handshake_without_a_payload) {
  for (auto [from, operation] : {std::pair{side::accepted, 1}, {side::connected, 0}}) {
    basp_gate fresh{from};
    EXPECT_FALSE(fresh.admit(header(static_cast<std::uint8_t>(operation), 0)));
    basp_gate greeted{from};
    ASSERT_TRUE(greet(greeted, static_cast<std::uint8_t>(operation)));
    EXPECT_FALSE(greeted.admit(header(static_cast<std::uint8_t>(operation), 0)));
  }
}

TEST(basp_gate, refuses_everything_but_the_right_handshake_at_first) {
  for (int operation = 0; operation < 256; ++operation) {
    basp_gate accepted{side::accepted};
    EXPECT_EQ(accepted.admit(header(static_cast<std::uint8_t>(operation), 40)), operation == 1);
    basp_gate connected{side::connected};
    EXPECT_EQ(connected.admit(header(static_cast<std::uint8_t>(operation), 40)), operation == 0);
  }
}

TEST(basp_gate, refuses_what_would_allocate_too_much) {
  basp_gate stranger{side::accepted};
  EXPECT_FALSE(stranger.admit(header(1, basp_gate::most_handshake + 1)));
  for (auto length : {basp_gate::most + 1, 0xffffffffu}) {
    basp_gate peer{side::accepted};
    ASSERT_TRUE(greet(peer));
    EXPECT_FALSE(peer.admit(header(2, length)));
  }
}

TEST(basp_gate, refuses_unknown_operations_and_lengths_that_do_not_fit_them) {
  for (auto [operation, length] :
       {std::pair{7, 10}, {255, 10}, {6, 1}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {0, 40}}) {
    basp_gate gate{side::accepted};
    ASSERT_TRUE(greet(gate));
    EXPECT_FALSE(
        gate.admit(header(static_cast<std::uint8_t>(operation), static_cast<std::uint32_t>(length))));
  }
}

TEST(basp_gate, refuses_chunks_of_another_size_than_announced) {
  basp_gate gate{side::accepted};
  EXPECT_FALSE(gate.admit(std::string(31, '\1')));
  basp_gate cut{side::accepted};
  ASSERT_TRUE(cut.admit(header(1, 40)));
  EXPECT_FALSE(cut.admit(std::string(39, 'x')));
}

} // namespace
} // namespace troupe
