#pragma once

#include <lmdb.h>

#include <cstdint>

namespace troupe {

/// The handles of the tables in use; opened once with the environment.
struct tables {
  MDB_dbi log = 0;
  MDB_dbi queues = 0;
  MDB_dbi tails = 0;
  MDB_dbi producers = 0;
  MDB_dbi subscriptions = 0;
  MDB_dbi settled = 0;
  MDB_dbi definitions = 0;
  MDB_dbi meta = 0;
  MDB_dbi dead = 0;
  MDB_dbi pins = 0;
  MDB_dbi timers = 0;
  MDB_dbi delayed = 0;
  MDB_dbi ages = 0;
  MDB_dbi firsts = 0;
  MDB_dbi halves = 0;
  MDB_dbi checks = 0;
  MDB_dbi transactions = 0;
};

/// Every table with its name and flags; all of them are replicated.
struct table_description {
  const char* name;
  MDB_dbi tables::*handle;
  unsigned flags;
  /// The first format version that has it.
  std::uint32_t since;
};
inline constexpr table_description all_tables[] = {
    {"log", &tables::log, MDB_INTEGERKEY, 1},
    {"queues", &tables::queues, 0, 1},
    {"tails", &tables::tails, 0, 1},
    {"producers", &tables::producers, 0, 1},
    {"subscriptions", &tables::subscriptions, 0, 1},
    {"settled", &tables::settled, 0, 1},
    {"definitions", &tables::definitions, 0, 1},
    {"meta", &tables::meta, 0, 1},
    {"dead", &tables::dead, 0, 2},
    {"pins", &tables::pins, MDB_INTEGERKEY, 2},
    {"timers", &tables::timers, 0, 4},
    {"delayed", &tables::delayed, 0, 4},
    {"ages", &tables::ages, 0, 4},
    {"firsts", &tables::firsts, 0, 5},
    {"halves", &tables::halves, 0, 6},
    {"checks", &tables::checks, 0, 6},
    {"transactions", &tables::transactions, 0, 6},
};

} // namespace troupe
