#pragma once

#include "objection.hpp"

#include "troupe/entry.hpp"

#include "entry.capnp.h"

#include <cstddef>

/// Bodies of entries about delayed messages, between plain values and Cap'n Proto (entry_body.cpp knows what
/// to do with them).
namespace troupe::flat {

/// Words that write() takes beyond the root.
std::size_t extra_words(const fire_entry& e);
std::size_t extra_words(const split_entry& e);
std::size_t extra_words(const cancel_entry& e);

void write(const message_place& message, schema::MessagePlace::Builder to);
message_place read(schema::MessagePlace::Reader from);

void write(const fire_entry& e, schema::Fire::Builder to);
void write(const split_entry& e, schema::Split::Builder to);
void write(const cancel_entry& e, schema::Cancel::Builder to);

objection check(const cancel_entry& e);
objection check(const fire_entry& e);
objection check(const split_entry& e);

result<entry_body> read_timer_body(schema::Fire::Reader from);
result<entry_body> read_timer_body(schema::Split::Reader from);
result<entry_body> read_timer_body(schema::Cancel::Reader from);

} // namespace troupe::flat
