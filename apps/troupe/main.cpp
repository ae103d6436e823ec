#include "cli.hpp"

#include <standard_streams.hpp>

int main(int argc, char** argv) {
  trouped::hold_standard_streams();
  return troupe::cli::run(argc, argv);
}
