#include "loader.hpp"

#include "system_fixture.hpp"

#include <gtest/gtest.h>

namespace troupe::test {

loader::loader(const client& c, producer_options options, loader_options own, ledger& books)
    : books_(books), options_(own), random_(own.seed), to_(must(producer::open(c, std::move(options)))) {
  thread_ = std::thread{[this] { work(); }};
}

loader::~loader() {
  stopping_ = true;
  if (thread_.joinable())
    thread_.join();
}

void loader::stop() {
  stopping_ = true;
  if (thread_.joinable())
    thread_.join();
  const auto failed = to_.close();
  EXPECT_FALSE(failed) << troupe::to_string(failed);
}

void loader::work() {
  while (!stopping_) {
    switch (random_.below(4)) {
    case 0:
      send_one();
      break;
    case 1:
      send_batch();
      break;
    default:
      send_burst();
      break;
    }
  }
}

label loader::next() {
  const auto key = static_cast<std::uint32_t>(random_.below(keys));
  return {options_.number, serial_++, key, key_serials_[key]++};
}

message loader::message_for(const label& what) {
  return test::to_message(what, random_.below(options_.body + 1));
}

void loader::send_one() {
  const auto what = next();
  books_.answered(what, to_.send(message_for(what)));
}

void loader::send_batch() {
  std::vector<label> labels;
  std::vector<message> messages;
  for (auto n = random_.between(1, 200); n > 0; --n) {
    labels.push_back(next());
    messages.push_back(message_for(labels.back()));
  }
  const auto answers = to_.send(std::move(messages));
  for (std::size_t i = 0; i < labels.size(); ++i)
    books_.answered(labels[i], answers[i]);
}

void loader::send_burst() {
  for (auto n = random_.between(1, 500); n > 0 && !stopping_; --n) {
    room_.acquire();
    const auto what = next();
    to_.send_async(message_for(what), [this, what](const result<receipt>& answer) {
      books_.answered(what, answer);
      room_.release();
    });
  }
}

} // namespace troupe::test
