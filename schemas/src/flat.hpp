#pragma once

#include "troupe/block.hpp"
#include "troupe/error.hpp"

#include <capnp/message.h>
#include <kj/exception.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

/// Flat Cap'n Proto: one segment, no segment table, a multiple of 8 bytes at an address that is one too.
namespace troupe::flat {

// Every fixed header and the scanned arrays are used as they lie in memory.
static_assert(std::endian::native == std::endian::little, "the stored formats are little-endian");

constexpr std::size_t word = sizeof(capnp::word);

constexpr std::size_t padded(std::size_t bytes) { return (bytes + word - 1) / word * word; }

inline bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % word == 0; }

/// Memory for a record: 8-aligned, its contents undefined.
inline std::shared_ptr<char[]> allocate(std::size_t bytes) {
  auto words = std::make_shared_for_overwrite<std::uint64_t[]>(padded(bytes) / word);
  auto* p = reinterpret_cast<char*>(words.get());
  return {std::move(words), p};
}

inline std::span<capnp::word> words(std::span<char> bytes) {
  return {reinterpret_cast<capnp::word*>(bytes.data()), bytes.size() / word};
}

template <class T> T load(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <class T> void store(char* p, T value) { std::memcpy(p, &value, sizeof value); }

/// Calls `read` with the root of a flat message (aligned, a multiple of 8) and returns what it gives, a
/// result. Whatever Cap'n Proto objects to becomes `corrupt`. `what` names the record in the text.
template <class Root, class Read>
auto read(std::span<const char> bytes, const char* what, Read&& read)
    -> decltype(read(std::declval<typename Root::Reader>())) {
  auto failed = [what](const std::string& why) {
    return error{errc::corrupt, std::string("the ") + what + " is damaged: " + why};
  };
  // Reading every part once costs the size of the message; lists of empty structs are charged per element.
  // Twice that bounds what bytes from outside can make us do.
  capnp::ReaderOptions options;
  options.traversalLimitInWords = bytes.size() / word * 2 + 64;
  options.nestingLimit = 8;
  kj::ArrayPtr<const capnp::word> segment(reinterpret_cast<const capnp::word*>(bytes.data()),
                                          bytes.size() / word);
  try {
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&segment, 1), options);
    return read(reader.getRoot<Root>());
  } catch (const kj::Exception& e) {
    return failed(e.getDescription().cStr());
  } catch (const std::exception& e) {
    return failed(e.what());
  }
}

} // namespace troupe::flat
