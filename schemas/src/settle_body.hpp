#pragma once

#include "objection.hpp"

#include "troupe/entry.hpp"

#include "entry.capnp.h"

#include <cstddef>

/// One subscription's settles, between plain values and Cap'n Proto: in a settle, and as the guard of a
/// decision.
namespace troupe::flat {

/// Words that write() takes beyond the struct itself.
std::size_t extra_words(const settle_section& section);
void write(const settle_section& section, schema::SettleSection::Builder to);
objection check(const settle_range& range);
/// Refuses what check() objects to.
result<settle_section> read(schema::SettleSection::Reader from);

} // namespace troupe::flat
