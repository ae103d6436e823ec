#pragma once

#include "objection.hpp"

#include "troupe/entry.hpp"

#include <cstddef>
#include <span>

/// Bodies of entries whose form is a flat Cap'n Proto message.
namespace troupe::flat {

/// What is wrong with a batch's header, whatever its bytes are.
objection check(const batch_header& header);

/// Bytes of the body, a multiple of 8; 0 for a no-op.
std::size_t body_size(const entry_body& body);
/// Writes it to `out`: exactly body_size(body) bytes, zeroed, 8-aligned. Not for append.
void write_body(const entry_body& body, std::span<char> out);
/// What read_body() would object to; for an append, what decode_directory() would.
objection check_body(const entry_body& body);
/// The other way round, for bytes whose checksum was right. Not for append.
result<entry_body> read_body(entry_kind kind, std::span<const char> bytes);

} // namespace troupe::flat
