#pragma once

#include "flat.hpp"
#include "objection.hpp"

#include "troupe/definitions.hpp"

#include "definitions.capnp.h"

#include <capnp/message.h>

#include <cstddef>

/// Definitions between plain values and Cap'n Proto, inside any message.
namespace troupe::flat {

/// Words of what lies behind the pointer to a text.
constexpr std::size_t text_words(std::size_t length) { return padded(length + 1) / word; }

/// Words of a list of structs, with the word in front that describes its elements.
template <class Struct> constexpr std::size_t list_words(std::size_t count) {
  return 1 + count * capnp::sizeInWords<Struct>();
}

/// Words that write() takes beyond the struct itself.
std::size_t extra_words(const topic_definition& topic);
std::size_t extra_words(const group_definition& group);

void write(const topic_definition& topic, schema::Topic::Builder to);
void write(const group_definition& group, schema::Group::Builder to);

/// What is wrong with a definition. `corrupt`: the queue ranges do not add up, a number is out of range, a
/// name is missing. `unknown_version`: a mode or start this program does not know.
objection check(const topic_definition& topic);
objection check(const group_definition& group);

/// Refuse what check() objects to.
result<topic_definition> read(schema::Topic::Reader from);
result<group_definition> read(schema::Group::Reader from);

} // namespace troupe::flat
