#pragma once

#include "objection.hpp"

#include "troupe/entry.hpp"

#include "entry.capnp.h"

#include <cstddef>

/// The steps of transactions, between plain values and Cap'n Proto (entry_body.cpp knows what to do with
/// them).
namespace troupe::flat {

/// Words that write() takes beyond the root.
std::size_t extra_words(const begin_entry& e);
std::size_t extra_words(const seal_entry& e);
std::size_t extra_words(const decide_entry& e);
std::size_t extra_words(const confirm_entry& e);
std::size_t extra_words(const checked_entry& e);
std::size_t extra_words(const forget_transactions_entry& e);

void write(const begin_entry& e, schema::Transaction::Builder to);
void write(const seal_entry& e, schema::Transaction::Builder to);
void write(const decide_entry& e, schema::Transaction::Builder to);
void write(const confirm_entry& e, schema::Transaction::Builder to);
void write(const checked_entry& e, schema::Transaction::Builder to);
void write(const forget_transactions_entry& e, schema::Transaction::Builder to);

objection check(const begin_entry& e);
objection check(const seal_entry& e);
objection check(const decide_entry& e);
objection check(const confirm_entry& e);
objection check(const checked_entry& e);
objection check(const forget_transactions_entry& e);

result<entry_body> read_transaction_body(schema::Transaction::Reader from);

} // namespace troupe::flat
