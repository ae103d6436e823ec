#pragma once

#include "troupe/entry.hpp"

#include <cstddef>
#include <span>

/// Bodies of entries whose form is a flat Cap'n Proto message.
namespace troupe::flat {

/// Bytes of the body, a multiple of 8; 0 for a no-op.
std::size_t body_size(const entry_body& body);
/// Writes it to `out`: exactly body_size(body) bytes, zeroed, 8-aligned. Not for append.
void write_body(const entry_body& body, std::span<char> out);
/// The other way round, for bytes whose checksum was right. Not for append.
result<entry_body> read_body(entry_kind kind, std::span<const char> bytes);

} // namespace troupe::flat
