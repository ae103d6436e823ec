#pragma once

#include "random_source.hpp"

#include "troupe/batch.hpp"
#include "troupe/entry.hpp"
#include "troupe/message.hpp"

#include <cstdint>
#include <span>
#include <vector>

/// Random records, and ways to look at and damage their bytes.
namespace troupe::test {

/// A message of any shape that a batch can hold, most of them small.
message random_message(random_source& random);
std::vector<message> random_messages(random_source& random, std::size_t most);
topic_definition random_topic(random_source& random);
group_definition random_group(random_source& random);
/// A body of the given alternative of entry_body.
entry_body random_body(random_source& random, std::size_t alternative);

batch build(std::span<const message> messages);
/// Of half messages.
batch build(std::span<const message> messages, const half_of& half);
/// A complete entry with plausible term, index and time.
block encode_entry(const entry_body& body, entry_header header = {.term = 1,
                                                                  .index = log_index{1},
                                                                  .time = from_unix_ms(1'700'000'000'000)});

/// A writable copy of bytes at an 8-aligned address plus `shift`, with nothing behind the last byte.
class writable_copy {
public:
  explicit writable_copy(std::span<const char> bytes, std::size_t shift = 0);
  std::span<char> bytes() { return {memory_.get() + shift_, size_}; }
  /// A block that shares the bytes.
  block as_block() const;

private:
  std::shared_ptr<char[]> memory_;
  std::size_t shift_;
  std::size_t size_;
};

/// Makes the checksum of an entry right again after its bytes were changed, as long as it has a header.
void reseal_entry(std::span<char> entry);
/// The same for a value of the definitions table.
void reseal_definition(std::span<char> value);

/// Calls everything there is on a reader and throws std::logic_error when a view lies outside its block.
void walk(const batch_reader& reader);

} // namespace troupe::test
