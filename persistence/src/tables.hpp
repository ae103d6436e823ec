#pragma once

#include <lmdb.h>

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
};

/// Every table with its name and flags; all of them are replicated.
struct table_description {
  const char* name;
  MDB_dbi tables::*handle;
  unsigned flags;
};
inline constexpr table_description all_tables[] = {
    {"log", &tables::log, MDB_INTEGERKEY},
    {"queues", &tables::queues, 0},
    {"tails", &tables::tails, 0},
    {"producers", &tables::producers, 0},
    {"subscriptions", &tables::subscriptions, 0},
    {"settled", &tables::settled, 0},
    {"definitions", &tables::definitions, 0},
    {"meta", &tables::meta, 0},
};

} // namespace troupe
